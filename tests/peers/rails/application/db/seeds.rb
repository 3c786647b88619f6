# Each run brings its own passwords and secrets.
%w[alice bob].each do |name|
  User.create!(
    name: name,
    password: ENV.fetch("#{name.upcase}_PASSWORD"),
    secret: ENV.fetch("#{name.upcase}_SECRET")
  )
end
