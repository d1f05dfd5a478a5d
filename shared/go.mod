module github.com/slipway-cd/slipway/shared

go 1.26.0

require (
	github.com/slipway-cd/slipway/events v0.0.0
)

replace (
	github.com/slipway-cd/slipway/events => ../events
)
