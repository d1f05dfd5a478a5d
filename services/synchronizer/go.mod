module github.com/slipway-cd/slipway/services/synchronizer

go 1.26.0

require (
	github.com/fluxcd/cli-utils v1.3.0
	github.com/prometheus/client_golang v1.25.0
	github.com/slipway-cd/slipway/events v0.0.0
	github.com/slipway-cd/slipway/shared v0.0.0
	github.com/slipway-cd/slipway/shared/kube v0.0.0
	github.com/slipway-cd/slipway/shared/render v0.0.0
	go.uber.org/goleak v1.3.0
	k8s.io/apimachinery v0.37.2
	k8s.io/client-go v0.37.2
)

replace (
	github.com/slipway-cd/slipway/events => ../../events
	github.com/slipway-cd/slipway/shared => ../../shared
	github.com/slipway-cd/slipway/shared/kube => ../../shared/kube
	github.com/slipway-cd/slipway/shared/render => ../../shared/render
)
