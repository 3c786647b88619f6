# What the application sees of a request: who asks, from where, and through which of its instances.
class SeenController < ApplicationController
  def show
    render json: {
      instance: ENV.fetch("INSTANCE", "first"),
      user: request.headers["X-User"],
      client: request.remote_ip,
      scheme: request.scheme,
      cookies: request.cookies.keys.sort,
      authorization: request.headers["Authorization"],
      viewer: request.headers.env.select { |name| name.start_with?("HTTP_CLOUDFRONT_VIEWER_") }
    }
  end
end
