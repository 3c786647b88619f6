threads 8, 8
port ENV.fetch("PORT")
environment ENV.fetch("RAILS_ENV")
early_hints true if ENV["INSTANCE"]
