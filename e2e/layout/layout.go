// Package layout holds the rules of the house: who may import whom, and where
// things lie. Each check takes plain data and gives its faults, so that a test
// can plant a breach.
package layout

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Module begins the path of every module of ours.
const Module = "github.com/slipway-cd/slipway/"

// Package is one package of the workspace.
type Package struct {
	Path, Name, Dir string
	// Files are the names of its Go files without tests.
	Files []string
	// Imports are those of the package, TestImports those of its tests.
	Imports, TestImports []string
}

// imports are the modules of ours that each module may import.
var imports = map[string][]string{
	"events":                     {},
	"shared":                     {"events"},
	"shared/keyless":             {"events", "shared"},
	"shared/kube":                {"events", "shared"},
	"shared/render":              {"events", "shared"},
	"services/registry-receiver": {"events", "shared"},
	"services/git-receiver":      {"events", "shared"},
	"services/automator":         {"events", "shared", "shared/keyless", "shared/render"},
	"services/synchronizer":      {"events", "shared", "shared/keyless", "shared/kube", "shared/render"},
	"services/rollouts":          {"events", "shared", "shared/kube"},
	"services/notifier":          {"events", "shared"},
	"services/dashboard":         {"events", "shared"},
	// Of the other services only the root packages: see crossing.
	"services/slipway": {"events", "shared", "shared/keyless", "shared/kube", "shared/render", "services/*"},
	"e2e":              {"events", "shared", "shared/keyless", "shared/kube", "shared/render", "services/*"},
}

// owners say which packages alone may import something of others.
var owners = []struct {
	what   string
	owners []string
}{
	{"github.com/nats-io/", []string{"shared/bus", "e2e/subscribers"}},
	{"github.com/go-git/", []string{"shared/gitrepo"}},
	{"k8s.io/client-go", []string{"shared/kube", "services/synchronizer", "services/rollouts", "e2e"}},
	{"github.com/sigstore/", []string{"shared/keyless", "services/automator"}},
	{"github.com/go-chi/", []string{"shared/service", "shared/webhook", "services/automator", "services/dashboard"}},
}

// narrow are folders that read what they are given and know nothing else of
// ours: "*" stands for one service.
var narrow = []struct {
	folder string
	may    []string
}{
	// shared/service for the config of a source, which a provider checks.
	{"services/*/provider", []string{"events", "shared/oidc", "shared/webhook", "shared/service"}},
	{"services/automator/policy", []string{"events", "shared/api"}},
	{"services/rollouts/strategy", []string{"events", "shared/api"}},
	{"services/notifier/channel", []string{"events"}},
}

// Imports holds the table of who may import whom.
func Imports(packages []Package) []string {
	var faults []string
	for _, p := range packages {
		own := strings.TrimPrefix(p.Path, Module)
		may, known := imports[moduleOf(own)]
		if !known {
			faults = append(faults, p.Path+" is in a module that the table of imports doesn't know")
			continue
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports) {
			if theirs, ours := strings.CutPrefix(imported, Module); ours {
				faults = append(faults, crossing(own, theirs, may)...)
				continue
			}
			for _, o := range owners {
				if strings.HasPrefix(imported, o.what) && !slices.ContainsFunc(o.owners, func(f string) bool { return within(own, f) }) {
					faults = append(faults, fmt.Sprintf("%s imports %s, which only %s may", p.Path, imported, strings.Join(o.owners, ", ")))
				}
			}
		}
		for _, n := range narrow {
			if ok, _ := path.Match(n.folder, own); !ok {
				continue
			}
			for _, imported := range p.Imports {
				if theirs, ours := strings.CutPrefix(imported, Module); ours && !slices.Contains(n.may, theirs) {
					faults = append(faults, fmt.Sprintf("%s imports %s; of ours it may only %s", p.Path, imported, strings.Join(n.may, ", ")))
				}
			}
		}
	}
	return faults
}

// crossing is the fault of one import between modules of ours.
func crossing(own, theirs string, may []string) []string {
	from, to := moduleOf(own), moduleOf(theirs)
	switch {
	case from == to:
		return nil
	case strings.HasPrefix(to, "services/") && slices.Contains(may, "services/*"):
		// What lies below a service's root is its own.
		if from != "e2e" && theirs != to {
			return []string{fmt.Sprintf("%s imports %s: of another service only the root package", Module+own, Module+theirs)}
		}
		return nil
	case !slices.Contains(may, to):
		return []string{fmt.Sprintf("%s imports %s: %s may not import %s", Module+own, Module+theirs, from, to)}
	}
	return nil
}

// Siblings demands that what a module imports of ours is in its go.mod: a
// workspace compiles without, and a build of the module alone does not.
func Siblings(packages []Package, mods map[string]GoMod) []string {
	var faults []string
	for _, p := range packages {
		own := moduleOf(strings.TrimPrefix(p.Path, Module))
		mod := mods[own]
		for _, imported := range slices.Concat(p.Imports, p.TestImports) {
			theirs, ours := strings.CutPrefix(imported, Module)
			sibling := moduleOf(theirs)
			if !ours || sibling == own {
				continue
			}
			if _, ok := mod.Require[Module+sibling]; !ok {
				faults = append(faults, fmt.Sprintf("%s/go.mod lacks require %s, which %s imports", own, Module+sibling, p.Path))
			}
			if !slices.Contains(mod.Replace, Module+sibling) {
				faults = append(faults, fmt.Sprintf("%s/go.mod lacks replace %s", own, Module+sibling))
			}
		}
	}
	slices.Sort(faults)
	return slices.Compact(faults)
}

// GoMod is what matters of a go.mod.
type GoMod struct {
	Require map[string]string // path to version
	Replace []string
}

// Versions demands one version of each dependency across the workspace.
func Versions(mods map[string]GoMod) []string {
	seen := map[string]map[string][]string{} // dependency, version, modules
	for name, mod := range mods {
		for dependency, version := range mod.Require {
			if seen[dependency] == nil {
				seen[dependency] = map[string][]string{}
			}
			seen[dependency][version] = append(seen[dependency][version], name)
		}
	}
	var faults []string
	for dependency, versions := range seen {
		if len(versions) == 1 {
			continue
		}
		var uses []string
		for version, modules := range versions {
			slices.Sort(modules)
			uses = append(uses, version+" in "+strings.Join(modules, ", "))
		}
		slices.Sort(uses)
		faults = append(faults, dependency+" is "+strings.Join(uses, "; ")+" (make tidy)")
	}
	slices.Sort(faults)
	return faults
}

// Links holds what programs link, whatever imports it: never is the beginning
// of an import path, and deps are those of the packages with their own.
func Links(name string, deps []string, never ...string) []string {
	var faults []string
	for _, d := range deps {
		for _, n := range never {
			if strings.HasPrefix(d, n) {
				faults = append(faults, name+" links "+d)
			}
		}
	}
	return faults
}

// moduleOf is the module of a path below [Module].
func moduleOf(p string) string {
	parts := strings.Split(p, "/")
	switch {
	case parts[0] == "services" && len(parts) > 1:
		return parts[0] + "/" + parts[1]
	case parts[0] == "shared" && len(parts) > 1 && slices.Contains([]string{"keyless", "kube", "render"}, parts[1]):
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

// within says whether a path is a folder or below it.
func within(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }
