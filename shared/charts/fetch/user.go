package fetch

import (
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
)

// User fetches as a person at a terminal: from registries with what Docker
// knows, from chart repositories without credentials. What was fetched is kept
// in the person's cache. It is nil where there is no place for that.
func User() charts.Source {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	config := os.Getenv("DOCKER_CONFIG")
	if home, err := os.UserHomeDir(); config == "" && err == nil {
		config = filepath.Join(home, ".docker")
	}
	config = filepath.Join(config, "config.json")
	if info, err := os.Stat(config); err != nil || !info.Mode().IsRegular() {
		config = ""
	}
	began := time.Now()
	return New(Options{Dir: filepath.Join(dir, "slipway", "charts"), DockerConfig: config}).Source(func(ref api.ChartRef) Question {
		return Question{ChartRef: ref, Access: Config, Since: began}
	})
}
