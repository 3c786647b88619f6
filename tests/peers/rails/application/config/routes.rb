Rails.application.routes.draw do
  root "landing#show"
  resource :session, only: %i[new create destroy]
  resource :account, only: :show, controller: "account" do
    get :secret
  end
  resources :notes, only: %i[index create]
  resource :chat, only: :show, controller: "chat"
  resource :careless, only: %i[show create], controller: "careless"
  get "downloads/:name", to: "downloads#show"
  get "slow/:ticket", to: "slow#show"
  get "up", to: "up#show"
  get "seen", to: "seen#show"
  get "busy", to: "busy#show"
  get "internal/session", to: "sessions#who"
  mount ActionCable.server => "/cable"
end
