module github.com/slipway-cd/slipway/e2e

go 1.26.0

require (
	github.com/google/go-containerregistry v0.22.1
	github.com/slipway-cd/slipway/events v0.0.0
	github.com/slipway-cd/slipway/services/automator v0.0.0
	github.com/slipway-cd/slipway/services/git-receiver v0.0.0
	github.com/slipway-cd/slipway/services/registry-receiver v0.0.0
	github.com/slipway-cd/slipway/services/slipway v0.0.0
	github.com/slipway-cd/slipway/services/synchronizer v0.0.0
	github.com/slipway-cd/slipway/shared v0.0.0
	github.com/slipway-cd/slipway/shared/kube v0.0.0
	github.com/slipway-cd/slipway/shared/render v0.0.0
)

require (
	github.com/docker/cli v29.7.2+incompatible // indirect
	github.com/docker/docker-credential-helpers v0.9.3 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	github.com/sirupsen/logrus v1.9.4 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace (
	github.com/slipway-cd/slipway/events => ../events
	github.com/slipway-cd/slipway/services/automator => ../services/automator
	github.com/slipway-cd/slipway/services/git-receiver => ../services/git-receiver
	github.com/slipway-cd/slipway/services/registry-receiver => ../services/registry-receiver
	github.com/slipway-cd/slipway/services/slipway => ../services/slipway
	github.com/slipway-cd/slipway/services/synchronizer => ../services/synchronizer
	github.com/slipway-cd/slipway/shared => ../shared
	github.com/slipway-cd/slipway/shared/kube => ../shared/kube
	github.com/slipway-cd/slipway/shared/render => ../shared/render
)
