package render

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"regexp"
	"slices"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/shared/render/sandbox"
)

// asking is a child's side of [answering]. nil: there is no cluster.
type asking struct {
	ask    sandbox.Ask
	asked  bool // a lookup was made
	silent bool // lookups don't find what is the chart's own
	// makes are the objects that the chart makes, which become its own.
	makes map[ID]bool
}

func (k *asking) put(q query) ([]byte, error) {
	question, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	answer := k.ask(question)
	switch answer[0] {
	case answerFound:
		return answer[1:], nil
	case answerOwn:
		own, rest := answer[9:], []byte(nil)
		if length := binary.BigEndian.Uint64(answer[1:]); length < uint64(len(own)) {
			own, rest = own[:length], own[length:]
		}
		if k.silent {
			return rest, nil
		}
		return own, nil
	case answerNothing:
		return nil, nil
	}
	return nil, errors.New(string(answer[1:]))
}

// functions are what Helm's engine is given in the place of its own.
func (k *asking) functions() map[string]any {
	if k == nil {
		return nil
	}
	return map[string]any{"lookup": k.lookup}
}

// lookup is Helm's function. Numbers are those that a client of Kubernetes gives.
func (k *asking) lookup(apiVersion, kind, namespace, name string) (map[string]any, error) {
	k.asked = true
	data, err := k.put(query{Lookup: &Lookup{apiVersion, kind, namespace, name}})
	if err != nil || data == nil {
		return map[string]any{}, err
	}
	var found map[string]any
	err = kjson.UnmarshalCaseSensitivePreserveInts(data, &found)
	if k.silent && k.makes[idOf(found)] {
		return map[string]any{}, nil
	}
	return found, err
}

// idOf names an object, whatever its version.
func idOf(object map[string]any) ID {
	meta, _ := object["metadata"].(map[string]any)
	apiVersion, _ := object["apiVersion"].(string)
	id := ID{APIVersion: apiVersion}
	id.APIVersion = id.Group()
	id.Kind, _ = object["kind"].(string)
	id.Namespace, _ = meta["namespace"].(string)
	id.Name, _ = meta["name"].(string)
	return id
}

// madeOf are the objects of a chart's pieces, each with the release's namespace
// and without one: of which kind it is only a cluster knows.
func (j job) madeOf(pieces []piece) map[ID]bool {
	makes := map[ID]bool{}
	for _, p := range pieces {
		var object map[string]any
		if yaml.Unmarshal(p.Text, &object) != nil {
			continue // what is wrong with it is told elsewhere
		}
		id := idOf(object)
		makes[id] = true
		if id.Namespace == "" {
			id.Namespace = j.Namespace
			makes[id] = true
		}
	}
	return makes
}

// aboutCluster is what a chart says that wants to know of its cluster.
var aboutCluster = regexp.MustCompile(`Capabilities|kubeVersion`)

// clusterOf asks for the cluster's capabilities, for a chart that may want them.
func (k *asking) clusterOf(files []*archive.BufferedFile) (*common.Capabilities, error) {
	if k == nil || !slices.ContainsFunc(files, func(f *archive.BufferedFile) bool { return aboutCluster.Match(f.Data) }) {
		return nil, nil
	}
	data, err := k.put(query{})
	if err != nil {
		return nil, err
	}
	var told struct{ Capabilities Capabilities }
	if err := json.Unmarshal(data, &told); err != nil {
		return nil, err
	}
	c := told.Capabilities
	return &common.Capabilities{
		KubeVersion: common.KubeVersion{Version: c.Version, Major: c.Major, Minor: c.Minor},
		APIVersions: common.VersionSet(c.APIVersions), HelmVersion: common.DefaultCapabilities.HelmVersion,
	}, nil
}
