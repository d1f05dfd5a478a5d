package promote

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/freeze"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/keyless"
	"github.com/slipway-cd/slipway/shared/registry"
	"github.com/slipway-cd/slipway/shared/render"
	"github.com/slipway-cd/slipway/shared/service"
)

// Rule is a policy's rule with its patterns read.
type Rule struct {
	api.Rule
	// Name is "<policy>[<index>]", Where its file and line.
	Name, Where string

	// Hash is of everything that the rule says: votes are bound to it.
	Hash string

	applications, images, allowed api.Patterns
	freezes                       freeze.Windows
	trust                         registry.Trust // who must have signed; nil: nobody, or the identities
	identities                    []api.Identity // who must have signed by the config's Sigstore; nil: nobody
	// only are the applications that it may speak for, where it is a guest's; nil: all.
	only map[events.Application]bool
	// broken says that the file or rule can't be read: whoever it may speak
	// for is blocked, since what it would have said is not known.
	broken error
}

// asks says whether people are asked of each version.
func (r *Rule) asks() bool { return r.Mode == api.Manual || r.Mode == api.PullRequest }

// loadRules reads the policies of a repository at one commit, in the order
// in which they count: config, file path, place in the file.
func loadRules(fsys fs.FS, paths []service.PolicyPath) ([]*Rule, error) {
	var rules []*Rule
	for _, p := range paths {
		allowed, err := api.ParsePatterns(p.Applications)
		if err != nil {
			return nil, fmt.Errorf("policies of path %s: %w", p.Path, err)
		}
		files, err := render.Files(fsys, p.Path)
		if errors.Is(err, fs.ErrNotExist) {
			rules = append(rules, &Rule{Where: p.Path, allowed: allowed, broken: fmt.Errorf("the policies' path %s is not in the repository", p.Path)})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("policies of path %s: %w", p.Path, err)
		}
		for _, file := range files {
			found, err := fileRules(fsys, file, allowed)
			if err != nil {
				return nil, err
			}
			rules = append(rules, found...)
		}
	}
	return rules, nil
}

func fileRules(fsys fs.FS, file string, allowed api.Patterns) ([]*Rule, error) {
	data, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	docs, err := api.Decode(file, data)
	if err != nil {
		return []*Rule{{Where: file, allowed: allowed, broken: err}}, nil
	}
	var rules []*Rule
	for _, d := range docs {
		p, ok := d.Object.(*api.DeploymentPolicy)
		if !ok {
			continue
		}
		where := fmt.Sprintf("%s:%d", d.File, d.Line)
		for i, r := range p.Spec.Rules {
			rule := newRule(r, fmt.Sprintf("%s[%d]", p.Metadata.Name, i), where, allowed)
			if err := rule.readTrust(fsys, file); err != nil && rule.broken == nil {
				rule.broken = fmt.Errorf("%s: rule %s: %w", where, rule.Name, err)
			}
			rules = append(rules, rule)
		}
	}
	return rules, nil
}

func newRule(r api.Rule, name, where string, allowed api.Patterns) *Rule {
	rule := &Rule{Rule: r, Name: name, Where: where, allowed: allowed}
	var err error
	if rule.applications, err = api.ParsePatterns(r.Applications); err == nil {
		rule.images, err = api.ParsePatterns(r.Images)
	}
	if err == nil {
		err = policy.Check(r.Track)
	}
	if err == nil {
		rule.freezes, err = freeze.NewWindows(r.Freeze)
	}
	if err == nil {
		rule.Hash, err = hashOf(r)
	}
	if err != nil {
		rule.broken = fmt.Errorf("%s: rule %s: %w", where, name, err)
	}
	return rule
}

// readTrust reads whose signatures the rule's verify wants, where it wants any.
func (r *Rule) readTrust(fsys fs.FS, file string) (err error) {
	for _, p := range r.Platforms {
		if err := registry.CheckPlatform(p); err != nil {
			return fmt.Errorf("platforms: %w", err)
		}
	}
	switch {
	case r.Verify == nil:
	case r.Verify.Cosign.Keyless != nil && r.Verify.Cosign.Keyless.Roots == "":
		r.identities = r.Verify.Cosign.Keyless.Identities
	case r.Verify.Cosign.Keyless != nil:
		r.trust, err = readRoots(fsys, file, r.Verify.Cosign.Keyless)
	default:
		r.trust, err = readKeys(fsys, file, r.Verify.Cosign.Key)
	}
	return err
}

// readKeys reads public keys, or the file beside the rule's that has them.
func readKeys(fsys fs.FS, file, key string) (registry.Trust, error) {
	text := []byte(key)
	if !strings.Contains(key, "-----BEGIN") {
		name := path.Join(path.Dir(file), strings.TrimSpace(key))
		var err error
		if text, err = fs.ReadFile(fsys, name); err != nil {
			return nil, fmt.Errorf("verify.cosign.key: %w", err)
		}
	}
	keys, err := registry.ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("verify.cosign.key: %w", err)
	}
	return keys, nil
}

// readRoots reads the trusted root beside the rule's file.
func readRoots(fsys fs.FS, file string, k *api.Keyless) (registry.Trust, error) {
	name := path.Join(path.Dir(file), strings.TrimSpace(k.Roots))
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("verify.cosign.keyless.roots: %w (it is a file in Git, by its path from the policy's)", err)
	}
	trust, err := keyless.New(name, text, k.Identities)
	if err != nil {
		return nil, fmt.Errorf("verify.cosign.keyless.roots: %w", err)
	}
	return trust, nil
}

// hashOf is a hash of what a rule says.
func hashOf(r api.Rule) (string, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("hash the rule: %w", err)
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// find gives the first rule that speaks for the pair; nil means that the
// image is never touched. told lists rules that claim the application without
// the right to.
func find(rules []*Rule, app events.Application, image events.ImageRepository) (rule *Rule, told []string) {
	name := app.String()
	for _, r := range rules {
		if r.only != nil && !r.only[app] {
			continue
		}
		allowed := r.allowed.Match(name)
		if r.broken != nil && r.applications == nil {
			if allowed {
				return r, told
			}
			continue
		}
		if !r.applications.Match(name) || !r.images.Match(image.String()) {
			continue
		}
		if allowed {
			return r, told
		}
		told = append(told, fmt.Sprintf("rule %s in %s claims it, but the config gives that path no say over it", r.Name, r.Where))
	}
	return nil, told
}
