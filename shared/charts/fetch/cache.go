package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/charts"
)

// cache keeps archives by their digests in blobs, and in refs which of them
// answers a question. A file is there whole or not at all, and what is read
// proves itself, so that neither a crash nor another process does harm. What was
// used least recently goes first.
type cache struct {
	dir string // empty: nothing is kept
	max int64
}

// ref is which archive answers a question.
type ref struct {
	Version string `json:"version"`
	Digest  string `json:"digest"`
}

const (
	blobs   = "blobs"
	refs    = "refs"
	indexes = "indexes"
	// maxRefs bounds how many questions are remembered.
	maxRefs = 20_000
	// abandoned is how old a file is that a process that died was writing.
	abandoned = time.Hour
	// inUse is how long an index is kept for who has just asked for it.
	inUse  = time.Minute
	partly = ".partly-"
)

// keyOf names parts, which may have anything in them.
func keyOf(parts ...string) string {
	h := sha256.New()
	text, _ := json.Marshal(parts) //nolint:errchkjson // strings
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil))
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (c *cache) blob(digest string) string {
	return filepath.Join(c.dir, blobs, strings.TrimPrefix(digest, "sha256:"))
}

// get gives what was kept; what is damaged is not there.
func (c *cache) get(key string) (charts.Archive, bool) {
	if c.dir == "" {
		return charts.Archive{}, false
	}
	at := filepath.Join(c.dir, refs, key)
	text, err := os.ReadFile(at)
	if err != nil {
		return charts.Archive{}, false
	}
	var r ref
	if err := json.Unmarshal(text, &r); err != nil || !validDigest(r.Digest) {
		return charts.Archive{}, false
	}
	data, err := os.ReadFile(c.blob(r.Digest))
	if err != nil {
		return charts.Archive{}, false
	}
	if digestOf(data) != r.Digest {
		_ = os.Remove(c.blob(r.Digest))
		return charts.Archive{}, false
	}
	now := time.Now()
	_ = os.Chtimes(at, now, now) // it was used
	_ = os.Chtimes(c.blob(r.Digest), now, now)
	return charts.Archive{Version: r.Version, Digest: r.Digest, Data: data}, true
}

func validDigest(s string) bool {
	rest, ok := strings.CutPrefix(s, "sha256:")
	raw, err := hex.DecodeString(rest)
	return ok && err == nil && len(raw) == sha256.Size
}

// put keeps an archive as the answer to questions, and makes room.
func (c *cache) put(keys []string, a charts.Archive) {
	if c.dir == "" || c.write(c.blob(a.Digest), a.Data) != nil {
		return
	}
	text, err := json.Marshal(ref{a.Version, a.Digest})
	if err != nil {
		return
	}
	for _, key := range keys {
		_ = c.write(filepath.Join(c.dir, refs, key), text)
	}
	c.tidy()
}

// write puts a file in place.
func (c *cache) write(at string, data []byte) error {
	f, err := c.create(filepath.Dir(at))
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is there no more, if all went well
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), at)
}

func (c *cache) create(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.CreateTemp(dir, partly)
}

// tidy removes what is more than may be kept, the longest unused first.
func (c *cache) tidy() {
	type kept struct {
		at   string
		size int64
		used time.Time
	}
	list := func(folders ...string) (all []kept, sum int64) {
		for _, folder := range folders {
			entries, _ := os.ReadDir(filepath.Join(c.dir, folder)) // what can't be read can't be removed
			for _, e := range entries {
				info, err := e.Info()
				if err != nil {
					continue // another process was quicker
				}
				at := filepath.Join(c.dir, folder, e.Name())
				if strings.HasPrefix(e.Name(), partly) {
					if time.Since(info.ModTime()) > abandoned {
						_ = os.Remove(at)
					}
					continue
				}
				all, sum = append(all, kept{at, info.Size(), info.ModTime()}), sum+info.Size()
			}
		}
		slices.SortFunc(all, func(x, y kept) int { return x.used.Compare(y.used) })
		return all, sum
	}
	all, sum := list(blobs, indexes)
	for i := 0; i < len(all)-1 && sum > c.max; i++ {
		if filepath.Base(filepath.Dir(all[i].at)) == indexes && time.Since(all[i].used) < inUse {
			continue
		}
		_ = os.Remove(all[i].at)
		sum -= all[i].size
	}
	for all, _ = list(refs); len(all) > maxRefs; all = all[1:] {
		_ = os.Remove(all[0].at)
	}
}
