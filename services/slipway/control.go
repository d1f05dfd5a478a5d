package slipway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/slipway-cd/slipway/services/slipway/backup"
	"github.com/slipway-cd/slipway/shared/service"
)

// controlName is the socket in the data folder by which the command asks a
// running `slipway up`: who may open it may read the folder.
const controlName = "control.sock"

// backupPath is what the socket serves.
const backupPath = "/backup"

// control serves the socket until ctx ends.
func (b *embedded) control(ctx context.Context) error {
	name := filepath.Join(b.data, controlName)
	// Whoever made it is dead: the data folder is ours alone.
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("make the control socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", name)
	if err != nil {
		b.log.WarnContext(ctx, "no backup can be made while this runs, only when it is stopped: no control socket (its path may be too long)", "error", err.Error())
		return nil
	}
	if err := os.Chmod(name, 0o600); err != nil {
		l.Close()
		return fmt.Errorf("make the control socket: %w", err)
	}
	fatal := make(chan error, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+backupPath, func(w http.ResponseWriter, r *http.Request) {
		if err := b.serveBackup(w, r); errors.Is(err, errNoBus) {
			fatal <- err
		}
	})
	server := service.NewServer(mux, b.log)
	go func() { _ = server.Serve(l) }() // it errs when it is closed
	defer server.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return err
	}
}

// serveBackup copies the streams while the bus stands still, then sends the
// copy.
func (b *embedded) serveBackup(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	m := backup.Manifest{Version: program(), Made: time.Now().UTC()}
	var dir string
	var end func() error
	paused, err := b.paused(func() (err error) {
		dir, end, err = backup.Copy(b.data)
		return err
	})
	if end != nil {
		defer func() {
			if err := end(); err != nil {
				b.log.WarnContext(ctx, "remove what a backup has left", "error", err.Error())
			}
		}()
	}
	if err != nil {
		b.log.ErrorContext(ctx, "no backup is made", "error", err.Error())
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return err
	}
	m.PausedMs = paused.Milliseconds()
	if m, err = backup.Write(w, dir, m); err != nil {
		b.log.WarnContext(ctx, "a backup was not taken", "error", err.Error())
		panic(http.ErrAbortHandler) // who asked must not take it for whole
	}
	b.log.InfoContext(ctx, "backed up", "files", len(m.Files), "bytes", m.Bytes(), "paused", paused.String())
	return nil
}

// askBackup has a running `slipway up` back its data folder up.
func askBackup(ctx context.Context, data string, to io.Writer) error {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(data, controlName))
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://slipway"+backupPath, nil)
	if err != nil {
		return fmt.Errorf("ask for a backup: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running slipway for a backup: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10)) // the status says enough
		return fmt.Errorf("the running slipway made no backup: %s: %s", res.Status, why)
	}
	if _, err := io.Copy(to, res.Body); err != nil {
		return fmt.Errorf("take the backup: %w", err)
	}
	return nil
}

// program is the version of this program: its module's, or the commit it was built of.
func program() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (info.Main.Version == "" || info.Main.Version == "(devel)") {
			return s.Value
		}
	}
	return info.Main.Version
}
