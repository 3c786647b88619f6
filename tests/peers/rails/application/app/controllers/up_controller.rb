class UpController < ApplicationController
  def show
    render plain: "up"
  end
end
