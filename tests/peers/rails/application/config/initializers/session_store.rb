Rails.application.config.session_store :cookie_store, key: "_pinboard_session", same_site: :lax
