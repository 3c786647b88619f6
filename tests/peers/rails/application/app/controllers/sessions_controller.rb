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

  # For whoever stands before the application: whose session it is. It is only looked at: an answer that sets the
  # cookie anew is for one request alone.
  def who
    request.session_options[:skip] = true
    return head(:unauthorized) unless current_user

    expires_in 1.minute
    response.headers["X-User"] = current_user.name
    head :ok
  end
end
