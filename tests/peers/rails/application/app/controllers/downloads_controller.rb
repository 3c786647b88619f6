# Files outside of `public`: the application says who may have one, and whoever stands before it sends it.
class DownloadsController < ApplicationController
  FOLDER = Rails.root.join("files")

  def show
    return head(:forbidden) unless params[:name] == "report"

    cookies[:downloaded] = "report"
    send_file FOLDER.join("report.csv"), type: "text/csv", filename: "Bericht.csv"
  end
end
