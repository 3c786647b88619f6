# No Gemfile: every library comes from the distribution's own packages.
require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "action_view/railtie"
require "action_cable/engine"
require "sprockets/railtie"

module Pinboard
  class Application < Rails::Application
    config.load_defaults 6.1
  end
end
