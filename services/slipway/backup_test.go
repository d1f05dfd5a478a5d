package slipway_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// TestABackupBringsBackWhatWasUnderWay loses a machine with releases under way,
// and goes on from a backup on another: each release is in one commit.
func TestABackupBringsBackWhatWasUnderWay(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := s.up(t)
	s.release(t, "web", "1.1.0")
	s.commits(t, "web", "1.1.0")
	s.away.Store(true)
	again := s.release(t, "web", "1.2.0")
	s.release(t, "api", "1.1.0")
	file := filepath.Join(s.dir, "slipway.backup")
	s.does(t, "backup", "--config", s.config, file)
	// It went on meanwhile.
	s.release(t, "api", "1.2.0")
	r.kill()
	if err := os.RemoveAll(s.data); err != nil {
		t.Fatal(err)
	}
	s.does(t, "restore", "--config", s.config, file)
	s.away.Store(false)
	s.up(t)
	s.commits(t, "web", "1.2.0")
	s.accepted(t, again) // as a sender that never heard the answer
	// What was told after the backup is gone with the machine: the sweep finds it.
	s.commits(t, "api", "1.2.0")
	s.release(t, "api", "1.3.0") // all that was before is done
	all := s.commits(t, "api", "1.3.0")
	for what, n := range all {
		if n != 1 {
			t.Errorf("%s: %d commits", what, n)
		}
	}
	if len(all) != 4 && len(all) != 5 { // api 1.1.0 may be overtaken by 1.2.0
		t.Errorf("commits: %v", all)
	}
}

func TestRestoreRefusesWhatWouldLoseSomething(t *testing.T) {
	t.Parallel()
	m := newMachine(t, awayRepository)
	r := m.up(t)
	file := filepath.Join(m.dir, "slipway.backup")
	m.does(t, "backup", "--config", m.config, file)
	refuses := func(words ...string) {
		t.Helper()
		if code, says := m.run(t, "restore", "--config", m.config, file); code != 3 || !contains(says, words...) {
			t.Errorf("exit %d: %s", code, says)
		}
	}
	refuses("stop `slipway up` first", m.data)
	r.kill()
	refuses("has streams already", "--force")
	m.does(t, "restore", "--config", m.config, "--force", file)
	if code, says := m.run(t, "backup", "--config", m.config, file); code != 2 || !contains(says, "is there already", "--force") {
		t.Errorf("exit %d: %s", code, says)
	}
	m.does(t, "backup", "--config", m.config, "--force", file)
	m.does(t, "restore", "--dry-run", file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	servicetest.Write(t, file, "not one")
	for _, args := range [][]string{{"--dry-run", file}, {"--config", m.config, "--force", file}} {
		if code, says := m.run(t, append([]string{"restore"}, args...)...); code != 2 || !contains(says, "no backup that can be restored") {
			t.Errorf("exit %d: %s", code, says)
		}
	}
	left, err := filepath.Glob(filepath.Join(m.data, ".slipway-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	m.up(t)
}

// TestBackupsWhileWebhooksComeLoseNone makes backups under traffic: what was
// accepted is there, whatever the moment was.
func TestBackupsWhileWebhooksComeLoseNone(t *testing.T) {
	t.Parallel()
	m := newMachine(t, awayRepository)
	m.up(t)
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		accepted := 0
		defer func() { sent <- accepted }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			// A sender sends again what isn't accepted.
			h := github(pushOf("refs/heads/main", "x")).with("X-Github-Delivery", fmt.Sprint(accepted)).signed()
			if m.send(t, h) == http.StatusAccepted {
				accepted++
			}
		}
	}()
	file := filepath.Join(m.dir, "slipway.backup")
	for range 3 {
		m.does(t, "backup", "--config", m.config, "--force", file)
		m.does(t, "restore", "--dry-run", file)
	}
	close(stop)
	accepted := bustest.Receive(t, "the end of the traffic", sent)
	if n := m.events(t); n < accepted || n > accepted+1 { // the last may have been stored unheard
		t.Errorf("%d events of %d accepted webhooks", n, accepted)
	}
	t.Logf("%d webhooks", accepted)
}
