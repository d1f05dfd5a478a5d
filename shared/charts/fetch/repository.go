package fetch

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/charts"
)

// fromRepository brings a chart from a repository with an index.yaml:
// https://helm.sh/docs/topics/chart_repository
func (c *Client) fromRepository(ctx context.Context, q Question) (charts.Archive, error) {
	return again(q, func(q Question) (charts.Archive, time.Time, error) { return c.byIndex(ctx, q) })
}

// again asks once more where what was known before may be too old to have the
// answer.
func again[T any](q Question, ask func(Question) (T, time.Time, error)) (T, error) {
	began := time.Now()
	found, asked, err := ask(q)
	old := errors.Is(err, charts.ErrMissing) || errors.Is(err, charts.ErrDigest) || errors.Is(err, errGone)
	if old && asked.Before(began) {
		q.Since = began
		found, _, err = ask(q)
	}
	return found, err
}

// byIndex brings a chart by an index, and tells when that was asked for.
func (c *Client) byIndex(ctx context.Context, q Question) (charts.Archive, time.Time, error) {
	key := q.Access.indexKey(q.Repository)
	l := c.listing(key)
	at, err := l.since(ctx, c.gate, q.Since, func() error { return c.fetchIndex(ctx, q, key) })
	if err != nil {
		return charts.Archive{}, time.Now(), err
	}
	entry, err := c.entry(q, key)
	if err != nil {
		return charts.Archive{}, at, err
	}
	digest, err := entryDigest(entry)
	if err != nil {
		return charts.Archive{}, at, err
	}
	a, found := c.cache.get(q.key(entry.Version, digest))
	if !found {
		a, err = c.download(ctx, q, entry, digest)
	}
	if err == nil {
		c.remember(q, resolved{entry.Version, digest, at})
	}
	return a, at, err
}

// download fetches an archive and holds it against what the index says.
func (c *Client) download(ctx context.Context, q Question, entry charts.Entry, digest string) (charts.Archive, error) {
	data, err := c.archive(ctx, q, entry)
	if err != nil {
		return charts.Archive{}, err
	}
	if digest != "" && digestOf(data) != digest {
		return charts.Archive{}, fmt.Errorf("%w: version %s has %s, and should have %s", charts.ErrDigest, entry.Version, digestOf(data), digest)
	}
	return c.keep(q, entry.Version, digest, data)
}

// errGone says that room was made on disk meanwhile.
var errGone = fmt.Errorf("%w: its index is no longer here", charts.ErrAway)

func (a Access) indexKey(repository string) string { return keyOf(a.id, repository, "index") }

// entry is what the index on disk says of the version that is meant.
func (c *Client) entry(q Question, key string) (charts.Entry, error) {
	index, err := os.Open(filepath.Join(c.opts.Dir, indexes, key))
	if errors.Is(err, fs.ErrNotExist) {
		return charts.Entry{}, errGone
	}
	if err != nil {
		return charts.Entry{}, err
	}
	defer index.Close() // nothing was written
	entries, err := charts.Entries(index, q.Name)
	if err != nil {
		return charts.Entry{}, err
	}
	versions := make([]string, len(entries))
	for i, e := range entries {
		versions[i] = e.Version
	}
	i, err := charts.Choose(versions, q.ChartRef)
	if err != nil {
		return charts.Entry{}, err
	}
	return entries[i], nil
}

// entryDigest is what the index says of the archive; empty where it doesn't.
func entryDigest(e charts.Entry) (string, error) {
	digest := strings.TrimPrefix(strings.ToLower(e.Digest), "sha256:")
	if digest == "" {
		return "", nil
	}
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != 32 {
		return "", fmt.Errorf("%w: what it says of version %s is no SHA-256", charts.ErrDigest, e.Version)
	}
	return "sha256:" + digest, nil
}

// validators are what a server told of the index that is on disk.
type validators struct {
	ETag     string `json:"etag"`
	Modified string `json:"modified"`
}

// fetchIndex has the index on disk as the server has it now.
func (c *Client) fetchIndex(ctx context.Context, q Question, key string) error {
	address := q.Repository + "/index.yaml"
	at := filepath.Join(c.opts.Dir, indexes, key)
	return c.gate.Through(ctx, q.Access.id+" "+hostOf(address), func(ctx context.Context) error {
		var v validators
		if _, err := os.Stat(at); err == nil {
			v = readValidators(at)
		}
		return c.get(ctx, q, request{address: address, most: charts.MaxIndex, validators: v}, func(r answer) error {
			if r.same {
				now := r.at
				_ = os.Chtimes(at, now, now)
				return nil
			}
			return c.cache.writeIndex(at, r)
		})
	})
}

// writeIndex puts an index in place, and what it is known by after it: who dies
// between the two fetches it again.
func (c *cache) writeIndex(at string, r answer) error {
	f, err := c.create(filepath.Dir(at))
	if err != nil {
		return fmt.Errorf("keep the index: %w", err)
	}
	defer os.Remove(f.Name()) // it is there no more, if all went well
	_, err = io.Copy(f, r.body)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	_ = os.Remove(at + ".etag")
	if err := os.Rename(f.Name(), at); err != nil {
		return fmt.Errorf("keep the index: %w", err)
	}
	if r.validators != (validators{}) {
		_ = c.write(at+".etag", []byte(r.ETag+"\n"+r.Modified))
	}
	c.tidy()
	return nil
}

func readValidators(at string) validators {
	text, err := os.ReadFile(at + ".etag")
	if err != nil {
		return validators{}
	}
	tag, modified, _ := strings.Cut(string(text), "\n")
	return validators{tag, modified}
}

// archive fetches what an entry names: seen from the repository, or an address
// of any host, which gets the credentials only where it is the repository's.
func (c *Client) archive(ctx context.Context, q Question, e charts.Entry) (data []byte, err error) {
	if len(e.URLs) == 0 {
		return nil, fmt.Errorf("%w: the index has no address of version %s", charts.ErrMissing, e.Version)
	}
	base, err := url.Parse(q.Repository + "/")
	if err != nil {
		return nil, fmt.Errorf("%w: its repository is not an address", charts.ErrBad)
	}
	at, err := base.Parse(e.URLs[0])
	if err != nil {
		return nil, fmt.Errorf("%w: the index has no address of version %s that can be read", charts.ErrBad, e.Version)
	}
	if at.Scheme == "oci" {
		return c.elsewhere(ctx, q, e, at)
	}
	if at.Host == base.Host && at.RawQuery == "" {
		at.RawQuery = base.RawQuery
	}
	err = c.gate.Through(ctx, q.Access.id+" "+strings.ToLower(at.Host), func(ctx context.Context) error {
		return c.get(ctx, q, request{address: at.String(), most: charts.MaxPacked, verbatim: true}, func(r answer) error {
			data, err = io.ReadAll(r.body)
			return err
		})
	})
	return data, err
}

// elsewhere fetches an archive that the index says is in a registry, without
// credentials, since they are the repository's.
func (c *Client) elsewhere(ctx context.Context, q Question, e charts.Entry, at *url.URL) (data []byte, err error) {
	path, tag, _ := strings.Cut(strings.TrimPrefix(at.Path, "/"), ":")
	image, err := events.ParseImage(at.Host+"/"+path+":"+cmp.Or(tag, strings.ReplaceAll(e.Version, "+", "_")), c.opts.Aliases)
	if err != nil {
		return nil, fmt.Errorf("%w: the index has no address of version %s that can be read", charts.ErrBad, e.Version)
	}
	access := Access{}
	if hostOf(q.Repository) == strings.ToLower(at.Host) {
		access = q.Access
	}
	client, err := c.registry(access, image.Repository.Host)
	if err != nil {
		return nil, err
	}
	err = c.gate.Through(ctx, access.id+" "+image.Repository.Host, func(ctx context.Context) error {
		_, data, err = client.Layer(ctx, image, configMedia, chartMedia, charts.MaxPacked)
		return registryError(err)
	})
	return data, err
}
