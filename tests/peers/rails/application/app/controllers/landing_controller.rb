# The same for every visitor: no session, no form, and an explicit leave to be shown while the application is away.
class LandingController < ApplicationController
  layout "anonymous"

  def show
    expires_in 0, public: true, "s-maxage": 2, stale_if_error: 1.hour.to_i
    @rendering = SecureRandom.hex(8)
  end
end
