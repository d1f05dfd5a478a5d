package promote

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/service"
)

// Severity says what becomes of a finding.
type Severity string

// The severities.
const (
	// SeverityError is for what keeps something from being deployed, or counts
	// otherwise than it is written.
	SeverityError Severity = "error"
	// SeverityWarning is for what is taken, and is hardly meant.
	SeverityWarning Severity = "warning"
)

// Finding is one fault of a work tree.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"` // from 1
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Do       string   `json:"do"`
}

// String is "file:line: severity: what: what to do".
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s: %s", f.File, f.Line, f.Severity, f.What, f.Do)
}

// Tree is a work tree on disk.
type Tree struct {
	FS fs.FS // from its root
	// Name stands before the names of its files; empty for none.
	Name string
	// Below is the folder or file whose documents are looked at; "." is all.
	Below string
	// Repository is the config's that the tree stands for; nil for none, and
	// then only its documents are looked at.
	Repository *service.Repository
	// Charts brings charts that lie outside of the tree; nil: none can be had.
	Charts charts.Source
	// Bases brings what kustomizations name beyond the tree; nil: nothing can be had.
	Bases bases.Source
	// Health says what is wrong in an Application's rules, each fault beginning with
	// its field; nil: nobody does.
	Health func([]api.HealthRule) error
}

// Lint looks for what is wrong in work trees: in each document, and, where the
// config names the repository, in what they come to together. It uses no bus,
// and the network only by Tree.Charts and Tree.Bases. Findings are sorted.
func Lint(ctx context.Context, cfg service.Config, trees []Tree) ([]Finding, error) {
	l := &linter{cfg: cfg, found: map[Finding]bool{}, known: map[events.Application]*Application{}}
	for _, t := range trees {
		one := &lintTree{Tree: t, linter: l}
		if err := one.readDocuments(); err != nil {
			return nil, err
		}
		l.trees = append(l.trees, one)
	}
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	l.gather()
	for _, t := range l.trees {
		t.checkDocuments()
		if t.state != nil {
			t.checkPlaces()
			t.checkApplications()
			t.checkPaths()
			t.checkRules()
			t.checkHolds()
		}
	}
	return slices.SortedFunc(maps.Keys(l.found), compareFindings), nil
}

func compareFindings(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.What, b.What), cmp.Compare(a.Do, b.Do))
}

// linter looks at several trees together.
type linter struct {
	cfg   service.Config
	trees []*lintTree
	found map[Finding]bool
	// known are the applications of all trees; whole says that these are all of
	// the config's.
	known map[events.Application]*Application
	whole bool
}

// gather joins the trees' applications.
func (l *linter) gather() {
	given := 0
	for _, t := range l.trees {
		if t.state == nil {
			continue
		}
		given++
		for name, app := range t.state.Applications {
			if first, twice := l.known[name]; twice {
				t.at(app.where).errs("another repository has the application "+name.String()+", too: "+first.where, "keep one of the two: the synchronizer takes either")
			}
			l.known[name] = app
		}
	}
	l.whole = given == len(l.cfg.Repositories) && !slices.ContainsFunc(l.trees, (*lintTree).partial)
}

// lintTree is a tree as it is looked at.
type lintTree struct {
	Tree
	*linter
	texts texts
	docs  []lintDocument
	// broken are the files of ours that can't be read, patches those that
	// kustomizations lay over others.
	broken []lintBroken
	state  *State // nil without a repository
	key    string // of the repository
}

// load reads the trees as the automator reads commits, until each knows what the others
// have for it.
func (l *linter) load(ctx context.Context) error {
	lent, revision := map[string][]byte{}, uint64(0)
	lends := newLending(func(from, to string) ([]byte, uint64, bool) {
		data, ok := lent[lentKey(from, to)]
		return data, revision, ok
	})
	for _, r := range l.cfg.Repositories {
		name, err := r.Name(l.cfg.GitAliases())
		if err != nil {
			return err
		}
		if err := lends.add(name, r); err != nil {
			return err
		}
	}
	for range maxDepth {
		news := false
		revision++
		for _, t := range l.trees {
			added, err := t.load(ctx, lends, lent)
			if err != nil {
				return err
			}
			news = news || added
		}
		if !news {
			return nil
		}
	}
	return nil
}

// load reads the tree, and says whether it has something for others that it hadn't.
func (t *lintTree) load(ctx context.Context, lends *lending, lent map[string][]byte) (news bool, err error) {
	if t.Repository == nil {
		return false, nil
	}
	name, err := t.Repository.Name(t.cfg.GitAliases())
	if err != nil {
		return false, err
	}
	reader := &loader{config: *t.Repository, name: name, aliases: t.cfg.Aliases(), gits: t.cfg.GitAliases(), charts: t.Charts, bases: t.Bases, lending: lends}
	t.key, t.state = reader.key(), &State{}
	if _, err = reader.read(ctx, t.state, t.FS, nil, nil); err != nil {
		return false, err
	}
	for to, documents := range t.state.lends {
		data, err := reader.parcel(t.state, documents)
		if err != nil {
			return false, err
		}
		key := lentKey(t.key, to)
		news = news || !bytes.Equal(lent[key], data)
		lent[key] = data
	}
	return news, nil
}

// partial says that some root can't be rendered, so that applications are
// missing.
func (t *lintTree) partial() bool {
	return t.state != nil && slices.ContainsFunc(t.Repository.Roots, func(r service.Root) bool {
		return t.state.paths[path.Clean(r.Path)].err != nil
	})
}

// place is where findings are told.
type place struct {
	t    *lintTree
	file string
	line int
}

func (p place) tell(s Severity, what, do string) {
	file := p.file
	if file != p.t.cfg.File {
		file = path.Join(p.t.Name, file)
	}
	p.t.found[Finding{file, max(p.line, 1), s, flat(what), flat(do)}] = true
}

// inConfig is the place of a field of the tree's repository in the config.
func (t *lintTree) inConfig(field string) place {
	i := slices.IndexFunc(t.cfg.Repositories, func(r service.Repository) bool { return r.URL == t.Repository.URL && r.Branch == t.Repository.Branch })
	file := texts{}
	if data, err := os.ReadFile(t.cfg.File); err == nil {
		file.add(t.cfg.File, data)
	}
	p := place{t, t.cfg.File, 1}
	if nodes := file[t.cfg.File]; len(nodes) > 0 {
		p.line = file.line(t.cfg.File, nodes[0].Line, fmt.Sprintf("repositories[%d].%s", i, field))
	}
	return p
}

func (p place) errs(what, do string)  { p.tell(SeverityError, what, do) }
func (p place) warns(what, do string) { p.tell(SeverityWarning, what, do) }
