package slipway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
)

// formerVariable names a program of a former version: with it the test writes
// its data folder anew. Commit 4e36e1c, the last that had neither init nor
// backup, wrote what is there.
const formerVariable = "SLIPWAY_FORMER"

// formerChains are those of its releases.
var formerChains = []string{"7231840f-dcfb-5e95-9b29-2e3aaf113d33", "061d0920-0a1e-5d35-bc89-1a5c5a3f6e44"}

const formerFile = "testdata/former/4e36e1c.backup"

// TestWhatAFormerVersionHadUnderWayIsDone starts on the data folder that a
// former version left, killed with two releases under way, and ends them on
// their own chains.
func TestWhatAFormerVersionHadUnderWayIsDone(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	file, err := filepath.Abs(formerFile)
	if err != nil {
		t.Fatal(err)
	}
	releases := [][2]string{{"web", "1.1.0"}, {"api", "1.1.0"}}
	if program := os.Getenv(formerVariable); program != "" {
		s.program = program
		s.away.Store(true)
		r := s.up(t)
		for _, app := range releases {
			s.release(t, app[0], app[1])
		}
		r.says(t, "work ended", "automator-repos", `"items":3`, "retry")
		r.kill()
		s.program = ""
		s.does(t, "backup", "--config", s.config, "--force", file)
		t.Skip("SKIPPED: the former version's data folder is written: read it in the diff, and run the test without " + formerVariable)
	}
	s.does(t, "restore", "--config", s.config, file)
	for _, app := range releases {
		s.push(t, app[0], app[1])
	}
	r := s.up(t)
	for _, app := range releases {
		s.commits(t, app[0], app[1])
	}
	log := s.work.Git("log", "--format=%B")
	for _, chain := range formerChains {
		if strings.Count(log, "Slipway-Chain: "+chain) != 1 {
			t.Errorf("chain %s: %s", chain, log)
		}
	}
	s.release(t, "web", "1.2.0")
	for what, n := range s.commits(t, "web", "1.2.0") {
		if n != 1 {
			t.Errorf("%s: %d commits", what, n)
		}
	}
	if strings.Contains(r.log.String(), `"ERROR"`) {
		t.Error("there was an error")
	}
	bustest.Until(t, "it is ready", func() bool { return s.ask(t, "/readyz") == "200 ok\n" })
}

// TestAFormerVersionsConfigIsRead holds that configs are only ever added to.
func TestAFormerVersionsConfigIsRead(t *testing.T) {
	t.Setenv("SECRET", "a secret that is long enough")
	files, err := filepath.Glob("testdata/former/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no former config: %v", err)
	}
	for _, file := range files {
		if _, err := service.Load(file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
