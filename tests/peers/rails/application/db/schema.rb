ActiveRecord::Schema.define(version: 1) do
  create_table :users do |t|
    t.string :name, null: false
    t.string :password_digest, null: false
    t.string :secret, null: false
    t.index :name, unique: true
  end

  create_table :notes do |t|
    t.references :user, null: false, foreign_key: true
    t.string :text, null: false
  end
end
