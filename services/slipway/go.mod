module github.com/slipway-cd/slipway/services/slipway

go 1.26.0

require (
	github.com/slipway-cd/slipway/events v0.0.0
	github.com/slipway-cd/slipway/shared v0.0.0
	github.com/slipway-cd/slipway/shared/kube v0.0.0
	github.com/slipway-cd/slipway/shared/render v0.0.0
	github.com/slipway-cd/slipway/services/registry-receiver v0.0.0
	github.com/slipway-cd/slipway/services/git-receiver v0.0.0
	github.com/slipway-cd/slipway/services/automator v0.0.0
	github.com/slipway-cd/slipway/services/synchronizer v0.0.0
)

replace (
	github.com/slipway-cd/slipway/events => ../../events
	github.com/slipway-cd/slipway/shared => ../../shared
	github.com/slipway-cd/slipway/shared/kube => ../../shared/kube
	github.com/slipway-cd/slipway/shared/render => ../../shared/render
	github.com/slipway-cd/slipway/services/registry-receiver => ../../services/registry-receiver
	github.com/slipway-cd/slipway/services/git-receiver => ../../services/git-receiver
	github.com/slipway-cd/slipway/services/automator => ../../services/automator
	github.com/slipway-cd/slipway/services/synchronizer => ../../services/synchronizer
)
