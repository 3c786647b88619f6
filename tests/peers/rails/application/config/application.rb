# No Gemfile: every library comes from the distribution's own packages.
require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "action_view/railtie"
require "action_cable/engine"
require "sprockets/railtie"
require_relative "../lib/edge_signature" # from `docs/guides/routing.md`, put here by `run`

module Pinboard
  class Application < Rails::Application
    config.load_defaults 6.1
    config.middleware.insert_before 0, EdgeSignature, File.expand_path("edge.keys", __dir__), %w[x-user]
  end
end
