module ApplicationCable
  class Connection < ActionCable::Connection::Base
    identified_by :user

    def connect
      self.user = User.find_by(id: cookies.encrypted["_pinboard_session"]&.fetch("user_id", nil))
      reject_unauthorized_connection unless user
    end
  end
end
