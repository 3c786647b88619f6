class AccountController < ApplicationController
  before_action :require_user

  def show; end

  def secret
    send_data current_user.secret, filename: "secret.txt", type: "text/plain", disposition: "inline"
  end
end
