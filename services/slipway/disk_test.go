package slipway_test

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
)

var discard = log.New(io.Discard, "", 0)

// cannot skips a test that this machine can't run; in CI it fails.
func cannot(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED: " + why)
}

// mount makes a small disk, which goes with the test.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	flags := uintptr(0)
	if before, ro := strings.CutSuffix(options, ",ro"); ro {
		options, flags = before, syscall.MS_RDONLY
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		cannot(t, "mount a small disk: "+err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fill takes what room there is on a disk, but for a little.
func fill(t *testing.T, file string) {
	t.Helper()
	const little = 256 << 10
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 64<<10)
	var size int64
	for err == nil {
		var n int
		n, err = f.Write(block)
		size += int64(n)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Truncate(max(0, size-little)); err != nil {
		t.Fatal(err)
	}
}

// events counts what the machine's bus has of Git.
func (m *machine) events(t *testing.T) (n int) {
	t.Helper()
	token, err := service.Secret{File: filepath.Join(m.data, "bus.token")}.Read()
	if err != nil {
		t.Fatal(err)
	}
	b := bustest.Open(t, bus.Options{Name: "test", URL: "nats://" + m.nats, Token: token, Log: bustest.Silent()})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for e, err := range b.Read(ctx, bus.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Event.Type().Short() == "ref.updated" {
			n++
		}
	}
	return n
}

func mustRead(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readable is a copy of the program that every user may run.
func readable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "slipway")
	in, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Close(), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	return program
}
