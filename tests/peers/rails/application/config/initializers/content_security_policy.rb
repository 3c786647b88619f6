Rails.application.config.content_security_policy do |policy|
  policy.default_src :self
  policy.script_src :self
  policy.object_src :none
  policy.base_uri :none
  policy.frame_ancestors :none
end

# A fresh nonce for each answer: two answers with one nonce are one answer delivered twice.
Rails.application.config.content_security_policy_nonce_generator = ->(_request) { SecureRandom.base64(16) }
Rails.application.config.content_security_policy_nonce_directives = %w[script-src]
