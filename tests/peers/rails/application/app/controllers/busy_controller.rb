# An application at its limit, while the file `busy` is there: it refuses, and says when to come again.
class BusyController < ApplicationController
  def show
    return render(plain: "served") unless Rails.root.join("tmp/busy").exist?

    response.headers["Retry-After"] = "1"
    head :service_unavailable
  end
end
