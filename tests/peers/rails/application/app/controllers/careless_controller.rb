# The mistake that leaks: a page with a session and a CSRF token, declared public.
class CarelessController < ApplicationController
  def show
    expires_in 10.minutes, public: true
    session[:visitor] ||= SecureRandom.hex(8)
  end

  def create
    render plain: "thank you, #{session.fetch(:visitor)}"
  end
end
