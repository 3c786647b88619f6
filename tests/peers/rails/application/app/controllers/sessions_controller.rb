class SessionsController < ApplicationController
  def new; end

  def create
    user = User.find_by(name: params[:name])
    return render(:new, status: :unprocessable_entity) unless user&.authenticate(params[:password])

    reset_session
    session[:user_id] = user.id
    redirect_to account_path, status: :see_other
  end

  def destroy
    reset_session
    redirect_to root_path, status: :see_other
  end
end
