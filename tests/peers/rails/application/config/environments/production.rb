# As `rails new` writes it for production, without what this application does not use.
Rails.application.configure do
  config.cache_classes = true
  config.eager_load = true
  config.consider_all_requests_local = false
  config.action_controller.perform_caching = true

  # Puma delivers the precompiled files itself; their names carry a fingerprint, so they never change.
  config.public_file_server.enabled = true
  config.public_file_server.headers = { "Cache-Control" => "public, max-age=31536000, immutable" }
  config.assets.compile = false
  # Where who stands before it says that it sends files (`sendfile` of a route), it does; elsewhere Rails does.
  config.action_dispatch.x_sendfile_header = "X-Accel-Redirect"

  config.log_level = :info
  config.log_tags = [:request_id]
  config.active_record.dump_schema_after_migration = false
end
