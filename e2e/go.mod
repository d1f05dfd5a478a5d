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
	github.com/aymanbagabas/go-osc52/v2 v2.0.1 // indirect
	github.com/charmbracelet/colorprofile v0.2.3-0.20250311203215-f60798e515dc // indirect
	github.com/charmbracelet/lipgloss v1.1.0 // indirect
	github.com/charmbracelet/x/ansi v0.8.0 // indirect
	github.com/charmbracelet/x/cellbuf v0.0.13-0.20250311204145-2c3ea96c31dd // indirect
	github.com/charmbracelet/x/term v0.2.1 // indirect
	github.com/docker/cli v29.7.2+incompatible // indirect
	github.com/docker/docker-credential-helpers v0.9.3 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/lucasb-eyer/go-colorful v1.2.0 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/mattn/go-runewidth v0.0.16 // indirect
	github.com/muesli/termenv v0.16.0 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	github.com/sirupsen/logrus v1.9.4 // indirect
	github.com/xo/terminfo v0.0.0-20220910002029-abceb7e1c41e // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	k8s.io/api v0.37.2 // indirect
	k8s.io/apimachinery v0.37.2 // indirect
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
