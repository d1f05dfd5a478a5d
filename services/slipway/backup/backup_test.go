package backup_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/slipway/backup"
)

// childVariable makes the test's binary restore a file into a folder, and be
// killed before it puts the streams in place: "FILE DATA".
const childVariable = "SLIPWAY_BACKUP_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childVariable); what != "" {
		file, data, _ := strings.Cut(what, " ")
		os.Exit(hang(file, data))
	}
	os.Exit(m.Run())
}

// hang restores as far as the test says, tells, and waits to be killed.
func hang(file, data string) int {
	in, err := os.Open(file)
	if err == nil {
		_, err = backup.Restore(in, data, true, func(string) error {
			fmt.Println("unpacked")
			select {}
		})
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// folder is a data folder with streams.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var streams = map[string]string{
	"jetstream/a/meta.inf": "{}", "jetstream/a/msgs/1.blk": strings.Repeat("message", 10_000), "jetstream/empty": "",
	"bus.token": "a secret", "automator/mirror": "fetched anew",
}

func made(t testing.TB, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := backup.Write(&b, dir, backup.Manifest{Version: "v1"}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func fine(string) error { return nil }

// content gives what lies below a folder.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		all[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestABackupHoldsStreamsAndNothingElse(t *testing.T) {
	data := t.TempDir()
	m, err := backup.Restore(bytes.NewReader(made(t, folder(t, streams))), data, false, fine)
	if err != nil {
		t.Fatal(err)
	}
	got := content(t, data)
	for name, text := range streams {
		if want := strings.HasPrefix(name, "jetstream/"); want != (got[name] == text && len(got[name]) == len(text)) && name != "jetstream/empty" {
			t.Errorf("%s: %d bytes", name, len(got[name]))
		}
	}
	if len(got) != 3 || len(m.Files) != 3 || m.Bytes() != int64(2+70_000) || m.Version != "v1" {
		t.Errorf("files %d, manifest %+v", len(got), m)
	}
}

// entry is one of an archive that somebody else made.
type entry struct {
	name, text string
	kind       byte
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	packed := gzip.NewWriter(&b)
	w := tar.NewWriter(packed)
	for _, e := range entries {
		h := &tar.Header{Typeflag: e.kind, Name: e.name, Size: int64(len(e.text)), Mode: 0o600, Format: tar.FormatPAX}
		if e.kind != 0 && e.kind != tar.TypeReg {
			h.Linkname, h.Size = e.text, 0
			e.text = ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// manifest is one that lists the files as they are.
func manifest(t testing.TB, change func(*backup.Manifest), files ...entry) entry {
	t.Helper()
	m := backup.Manifest{Format: 1, Version: "v1"}
	for _, f := range files {
		m.Files = append(m.Files, backup.File{Name: f.name, Size: int64(len(f.text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(f.text)))})
	}
	if change != nil {
		change(&m)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return entry{name: "slipway-backup.json", text: string(text)}
}

// foreign are files that a restore must refuse, and what it must say.
func foreign(t testing.TB) map[string]struct {
	file []byte
	says string
} {
	t.Helper()
	whole := made(t, folder(t, streams))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 0x40
	good := entry{name: "jetstream/a", text: "text"}
	listed := func(files ...entry) []byte {
		return archive(t, append([]entry{manifest(t, nil, files...)}, files...)...)
	}
	instead := func(e entry) []byte { return archive(t, manifest(t, nil, good), e) }
	return map[string]struct {
		file []byte
		says string
	}{
		"empty":               {nil, "does not begin as one"},
		"text":                {[]byte("hello, world, this is no backup"), "does not begin as one"},
		"cut short":           {whole[:len(whole)-100], "cut off"},
		"cut by its sum":      {whole[:len(whole)-4], "cut off"},
		"cut at its start":    {whole[:20], "cut off"},
		"one bit":             {flipped, "damaged"},
		"another tar":         {archive(t, good), "not with slipway-backup.json"},
		"no files":            {listed(), "nothing in it"},
		"another's JSON":      {archive(t, entry{name: "slipway-backup.json", text: `{"a":1}`}), "format 0"},
		"no JSON":             {archive(t, entry{name: "slipway-backup.json", text: `<xml>`}), "read its manifest"},
		"a newer format":      {archive(t, manifest(t, func(m *backup.Manifest) { m.Format, m.Version = 2, "v9.9.9" }, good), good), `format 2, made by slipway "v9.9.9"`},
		"a way out":           {listed(entry{name: "jetstream/../../etc/passwd", text: "x"}), "not a path below"},
		"an absolute path":    {listed(entry{name: "/etc/passwd", text: "x"}), "not a path below"},
		"another folder":      {listed(entry{name: "bus.token", text: "x"}), "not a path below"},
		"the folder itself":   {listed(entry{name: "jetstream", text: "x"}), "not a path below"},
		"backslashes":         {listed(entry{name: `jetstream\..\x`, text: "x"}), "not a path below"},
		"twice":               {listed(good, good), "twice"},
		"a file as a folder":  {listed(good, entry{name: "jetstream/a/b", text: "x"}), "jetstream/a"},
		"a link":              {instead(entry{name: good.name, text: "/etc/passwd", kind: tar.TypeSymlink}), "stands where its manifest has"},
		"a hard link":         {instead(entry{name: good.name, text: "/etc/passwd", kind: tar.TypeLink}), "stands where its manifest has"},
		"a device":            {instead(entry{name: good.name, kind: tar.TypeChar}), "stands where its manifest has"},
		"another file":        {instead(entry{name: "jetstream/b", text: "text"}), "stands where its manifest has"},
		"another content":     {instead(entry{name: good.name, text: "taxt"}), "its checksum is another"},
		"longer":              {instead(entry{name: good.name, text: "text and more"}), "stands where its manifest has"},
		"more than listed":    {archive(t, manifest(t, nil, good), good, entry{name: "jetstream/b", text: "x"}), "not in its manifest"},
		"less than listed":    {archive(t, manifest(t, nil, good, entry{name: "jetstream/b"}), good), "cut off"},
		"a huge one":          {archive(t, manifest(t, func(m *backup.Manifest) { m.Files[0].Size = 1 << 62 }, good), good), "stands where its manifest has"},
		"a negative one":      {archive(t, manifest(t, func(m *backup.Manifest) { m.Files[0].Size = -1 }, good), good), "-1 bytes"},
		"something behind it": {append(bytes.Clone(whole), gzipped(t, bytes.Repeat([]byte{0}, 1<<20))...), "behind its end"},
	}
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestADamagedOrForeignFileChangesNothing(t *testing.T) {
	for name, c := range foreign(t) {
		t.Run(name, func(t *testing.T) {
			data := folder(t, map[string]string{"jetstream/old": "old"})
			_, err := backup.Restore(bytes.NewReader(c.file), data, true, fine)
			input := errors.Is(err, backup.ErrInput) || name == "a file as a folder" // which the disk refuses
			if !input || !strings.Contains(err.Error(), c.says) {
				t.Errorf("restore: %v", err)
			}
			if _, err := backup.Check(bytes.NewReader(c.file)); err == nil && name != "a file as a folder" {
				t.Error("it is whole")
			}
			if got := content(t, data); len(got) != 1 || got["jetstream/old"] != "old" {
				t.Errorf("the folder has %v", got)
			}
		})
	}
}

func TestStreamsThatCannotBeOpenedAreNotTaken(t *testing.T) {
	data := folder(t, map[string]string{"jetstream/old": "old"})
	_, err := backup.Restore(bytes.NewReader(made(t, folder(t, streams))), data, true, func(string) error { return errors.New("of a newer NATS") })
	if !errors.Is(err, backup.ErrInput) || !strings.Contains(err.Error(), "of a newer NATS") {
		t.Errorf("restore: %v", err)
	}
	if got := content(t, data); len(got) != 1 || got["jetstream/old"] != "old" {
		t.Errorf("the folder has %v", got)
	}
}

// TestAKilledRestoreLeavesTheOldOrTheNew kills a restore when it has unpacked
// everything, and finds the old; the next restore finds its way clear.
func TestAKilledRestoreLeavesTheOldOrTheNew(t *testing.T) {
	data := folder(t, map[string]string{"jetstream/old": "old"})
	file := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(file, made(t, folder(t, streams)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), childVariable+"="+file+" "+data), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var word string
	if _, err := fmt.Fscanln(out, &word); err != nil || word != "unpacked" {
		t.Fatalf("%q, %v", word, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // "signal: killed" is what we want
	if got := content(t, filepath.Join(data, "jetstream")); len(got) != 1 || got["old"] != "old" {
		t.Errorf("the folder has %v", got)
	}
	claim, err := backup.Take(data)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	if left, _ := filepath.Glob(filepath.Join(data, ".slipway-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	if _, err := backup.Restore(in, data, true, fine); err != nil {
		t.Fatal(err)
	}
	if got := content(t, filepath.Join(data, "jetstream")); len(got) != 3 || got["a/meta.inf"] != "{}" {
		t.Errorf("the folder has %v", got)
	}
}

func TestADataFolderHasOneUser(t *testing.T) {
	data := t.TempDir()
	claim, err := backup.Take(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Take(data); !errors.Is(err, backup.ErrInUse) {
		t.Errorf("the second: %v", err)
	}
	claim.Release()
	claim, err = backup.Take(data)
	if err != nil {
		t.Fatal(err)
	}
	claim.Release()
}

// FuzzRestore writes nothing outside of its folder, whatever it reads, and what
// it takes is what its manifest says.
func FuzzRestore(f *testing.F) {
	f.Add(made(f, folder(f, streams)))
	for _, c := range foreign(f) {
		if len(c.file) < 1<<16 {
			f.Add(c.file)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		outer := t.TempDir()
		data := filepath.Join(outer, "data")
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		m, err := backup.Restore(bytes.NewReader(file), data, false, fine)
		got := content(t, outer)
		if err != nil && len(got) > 0 {
			t.Fatalf("%v, and the folder has %d files", err, len(got))
		}
		if err == nil && len(got) != len(m.Files) {
			t.Fatalf("%d files, and the manifest has %d", len(got), len(m.Files))
		}
		for _, file := range m.Files {
			if text, ok := got[filepath.Join("data", file.Name)]; err == nil && (!ok || int64(len(text)) != file.Size) {
				t.Fatalf("%s: %d bytes, %v", file.Name, len(text), ok)
			}
		}
	})
}
