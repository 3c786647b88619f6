class ChatController < ApplicationController
  before_action :require_user

  def show; end
end
