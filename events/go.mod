module github.com/slipway-cd/slipway/events

go 1.26.0
