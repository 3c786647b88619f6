class NotesController < ApplicationController
  before_action :require_user

  def index
    @notes = current_user.notes.order(:id)
  end

  def create
    current_user.notes.create!(text: params.require(:text))
    redirect_to notes_path, status: :see_other
  end
end
