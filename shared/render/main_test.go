package render_test

import (
	"testing"

	"github.com/slipway-cd/slipway/shared/render"
)

func TestMain(m *testing.M) {
	render.Child()
	m.Run()
}
