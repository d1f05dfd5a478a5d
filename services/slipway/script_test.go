package slipway_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-cd/slipway/services/slipway"
	"github.com/slipway-cd/slipway/shared/render"
)

func TestMain(m *testing.M) {
	render.Child()
	testscript.Main(m, map[string]func(){
		"slipway": func() { os.Exit(slipway.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command as a user would, with nothing else running than
// the receivers at $HOOKS, whose sources have $SECRET.
func TestScripts(t *testing.T) {
	f := newFront(t, frontOptions{})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOOKS", "http://"+f.addr+"/hooks")
			e.Setenv("SECRET", frontSecret)
			return nil
		},
	})
}
