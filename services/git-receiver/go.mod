module github.com/slipway-cd/slipway/services/git-receiver

go 1.26.0

require (
	github.com/slipway-cd/slipway/events v0.0.0
	github.com/slipway-cd/slipway/shared v0.0.0
)

replace (
	github.com/slipway-cd/slipway/events => ../../events
	github.com/slipway-cd/slipway/shared => ../../shared
)
