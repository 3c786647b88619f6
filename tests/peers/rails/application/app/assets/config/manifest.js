//= link application.css
//= link application.js
//= link pin.svg
