package gitrepo

import (
	"bytes"
	"cmp"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// ErrUntrusted says that neither a commit nor the tag by which it was found is
// signed by one of the keys.
var ErrUntrusted = errors.New("it is not signed by a trusted key")

// ErrKeys says that what should be public keys are none.
var ErrKeys = errors.New("these are no public keys")

// VerifiedBy errs with [ErrUntrusted] unless one of the keys has signed the
// commit, or the annotated tag by which it was found. Keys are by the names
// under which errors tell of them; each is one or several armored OpenPGP
// keys, or lines as in authorized_keys or in ssh-keygen's ALLOWED SIGNERS. It
// errs with [ErrKeys] where one is neither.
func (c *Commit) VerifiedBy(keys map[string][]byte) error {
	trusted, err := parseKeys(keys)
	if err != nil {
		return err
	}
	raw, tag, err := c.raw()
	if err != nil {
		return err
	}
	if tag != nil {
		if err = c.verifyTag(trusted, tag); err == nil {
			return nil
		}
		err = fmt.Errorf("tag %s: %w", c.tag, err)
	}
	message, signature, commitErr := splitCommit(raw)
	if commitErr == nil {
		commitErr = trusted.verify(message, signature, committed(raw))
	}
	if commitErr == nil {
		return nil
	}
	commitErr = fmt.Errorf("commit %s: %w", c.Hash(), commitErr)
	if err != nil {
		return fmt.Errorf("%w: %w; %w", ErrUntrusted, err, commitErr)
	}
	return fmt.Errorf("%w: %w", ErrUntrusted, commitErr)
}

// raw gives the bytes of the commit, and of its annotated tag where there is
// one: go-git's own reading leaves out headers that it doesn't know, and they
// are signed, too.
func (c *Commit) raw() (commit, tag []byte, err error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if commit, err = c.m.object(plumbing.CommitObject, c.c.Hash); err != nil {
		return nil, nil, c.broken(err)
	}
	if c.tag == "" || c.tagObject == c.c.Hash {
		return commit, nil, nil
	}
	if tag, err = c.m.object(plumbing.TagObject, c.tagObject); err != nil {
		return nil, nil, c.broken(err)
	}
	return commit, tag, nil
}

// verifyTag holds a tag's signature, and that it is of this very tag and
// commit: a signed tag that another name leads to says nothing.
func (c *Commit) verifyTag(trusted *keyring, raw []byte) error {
	header, _, _ := bytes.Cut(raw, []byte("\n\n"))
	of := func(key string) string { return headerOf(header, key) }
	switch {
	case of("object") != c.Hash() || of("type") != "commit":
		return errors.New("it is of another tag, not of the commit")
	case of("tag") != c.tag:
		return fmt.Errorf("it was made as %q, and another name leads to it", of("tag"))
	}
	message, signature := splitTag(raw)
	return trusted.verify(message, signature, timeOf(of("tagger")))
}

// object reads an object's bytes. The mutex is held.
func (m *Mirror) object(kind plumbing.ObjectType, h plumbing.Hash) ([]byte, error) {
	o, err := m.store.EncodedObject(kind, h)
	if err != nil {
		return nil, err
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// splitCommit takes the signature out of a commit, as Git does: the message is
// all but the headers gpgsig and gpgsig-sha256.
func splitCommit(raw []byte) (message []byte, signature string, err error) {
	var out, sig bytes.Buffer
	signatures, within, ours := 0, false, false
	rest := raw
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		line := rest[:end]
		if line[0] == '\n' { // what follows is what the committer said
			break
		}
		rest = rest[end:]
		if within && line[0] == ' ' {
			if ours {
				sig.Write(line[1:])
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(" "))
		ours = string(name) == "gpgsig"
		within = ours || string(name) == "gpgsig-sha256"
		switch {
		case ours:
			signatures++
			sig.Write(value)
		case !within:
			out.Write(line)
		}
	}
	if signatures > 1 {
		return nil, "", errors.New("it has several signatures, of which none can be told to be meant")
	}
	out.Write(rest)
	return out.Bytes(), sig.String(), nil
}

// splitTag takes the signature from the end of a tag: it begins with the last
// line that begins one.
func splitTag(raw []byte) (message []byte, signature string) {
	at := len(raw)
	for start := 0; start < len(raw); {
		for _, begin := range []string{pgpBegin, pgpMessageBegin, sshBegin} {
			if bytes.HasPrefix(raw[start:], []byte(begin)) {
				at = start
			}
		}
		end := bytes.IndexByte(raw[start:], '\n')
		if end < 0 {
			break
		}
		start += end + 1
	}
	return raw[:at], string(raw[at:])
}

const (
	pgpBegin        = "-----BEGIN PGP SIGNATURE-----"
	pgpMessageBegin = "-----BEGIN PGP MESSAGE-----"
	sshBegin        = "-----BEGIN SSH SIGNATURE-----"
)

// verify holds a signature over a message that was made at a time, in seconds.
func (k *keyring) verify(message []byte, signature string, at int64) error {
	switch {
	case strings.TrimSpace(signature) == "":
		return errors.New("it has no signature")
	case strings.HasPrefix(signature, sshBegin):
		block, rest := pem.Decode([]byte(signature))
		if block == nil || len(bytes.TrimSpace(rest)) > 0 {
			return errors.New("its SSH signature can't be read")
		}
		return k.verifySSH(message, block.Bytes, at)
	case strings.HasPrefix(signature, pgpBegin), strings.HasPrefix(signature, pgpMessageBegin):
		return k.verifyPGP(message, signature)
	case strings.HasPrefix(signature, "-----BEGIN SIGNED MESSAGE-----"):
		return errors.New("it is signed by X.509, which is not supported: sign by OpenPGP or SSH")
	}
	return errors.New("its signature is neither OpenPGP's nor SSH's")
}

// keyring are the keys of which any will do.
type keyring struct {
	ssh []sshTrust
	pgp pgpTrust
}

func parseKeys(keys map[string][]byte) (*keyring, error) {
	k := &keyring{}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		text := keys[name]
		var err error
		switch {
		case bytes.Contains(text, []byte("PRIVATE KEY")):
			err = errors.New("it is a private key: give the public one, and keep this one away from here")
		case bytes.Contains(text, []byte("-----BEGIN PGP")):
			err = k.pgp.add(text)
		default:
			err = k.addSSH(string(text))
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrKeys, name, err)
		}
	}
	if len(k.ssh)+len(k.pgp) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrKeys, cmp.Or(strings.Join(slices.Sorted(maps.Keys(keys)), ", "), "there are none"))
	}
	return k, nil
}

func headerOf(header []byte, key string) string {
	for line := range bytes.Lines(header) {
		if value, ok := bytes.CutPrefix(line, []byte(key+" ")); ok {
			return strings.TrimSuffix(string(value), "\n")
		}
	}
	return ""
}

// committed is when a commit says that it was made.
func committed(raw []byte) int64 {
	header, _, _ := bytes.Cut(raw, []byte("\n\n"))
	return timeOf(headerOf(header, "committer"))
}

// timeOf is the time in a line such as "Name <mail> 1700000000 +0100".
func timeOf(line string) int64 {
	_, after, _ := strings.Cut(line, "> ")
	var at int64
	if _, err := fmt.Sscan(after, &at); err != nil {
		return 0
	}
	return at
}
