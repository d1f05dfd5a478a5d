package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"go.uber.org/goleak"

	"github.com/slipway-cd/slipway/shared/kube"
)

var (
	boatKind = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Boat"}
	boats    = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "boats"}
)

// harbour is as much of an API server as a mapper and a watch call. The kind
// Boat appears with the second question for it.
type harbour struct {
	asked atomic.Int32
	user  atomic.Value
}

func (h *harbour) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.user.Store(r.Header.Get("Impersonate-User"))
	w.Header().Set("Content-Type", "application/json")
	const boat = `{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"5"}}`
	switch {
	case r.URL.Path == "/api":
		fmt.Fprint(w, `{"kind":"APIVersions","versions":[]}`)
	case r.URL.Path == "/apis":
		groups := metav1.APIGroupList{}
		if h.asked.Add(1) > 1 {
			v := metav1.GroupVersionForDiscovery{GroupVersion: "example.com/v1", Version: "v1"}
			groups.Groups = []metav1.APIGroup{{Name: "example.com", Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v}}
		}
		_ = json.NewEncoder(w).Encode(groups)
	case r.URL.Path == "/apis/example.com/v1":
		fmt.Fprint(w, `{"kind":"APIResourceList","groupVersion":"example.com/v1","resources":[{"name":"boats","kind":"Boat","namespaced":true}]}`)
	case r.URL.Query().Get("watch") != "":
		if r.URL.Query().Get("sendInitialEvents") == "true" {
			fmt.Fprintf(w, `{"type":"ADDED","object":%s}`+"\n", boat)
			fmt.Fprint(w, `{"type":"BOOKMARK","object":{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"resourceVersion":"5","annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n")
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case r.URL.Path == "/apis/example.com/v1/boats":
		fmt.Fprintf(w, `{"apiVersion":"example.com/v1","kind":"BoatList","metadata":{"resourceVersion":"5"},"items":[%s]}`, boat)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","status":"Failure","reason":"NotFound","code":404}`)
	}
}

func dock(t *testing.T) (*harbour, *kube.Clients) {
	t.Helper()
	h := &harbour{}
	server := httptest.NewServer(h)
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)
	clients, err := kube.New(&rest.Config{Host: server.URL, QPS: kube.DefaultQPS, Burst: kube.DefaultBurst})
	if err != nil {
		t.Fatal(err)
	}
	return h, clients
}

func TestMapperLearnsAKindThatAppears(t *testing.T) {
	_, clients := dock(t)
	got, err := clients.Mapper.Find(boatKind)
	if err != nil || got.GroupVersionResource != boats || !got.Namespaced {
		t.Errorf("%+v, %v", got, err)
	}
	var unknown *kube.UnknownKindError
	if _, err := clients.Mapper.Find(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Ship"}); !errors.As(err, &unknown) {
		t.Errorf("an unknown kind gives %v", err)
	}
}

func TestLookAsksForOneVersionAlone(t *testing.T) {
	h, clients := dock(t)
	ship := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Ship"}
	r, ok, err := clients.Mapper.Look(t.Context(), boatKind)
	if err != nil || !ok || r.GroupVersionResource != boats || !r.Namespaced {
		t.Errorf("%+v, %v, %v", r, ok, err)
	}
	if _, ok, err := clients.Mapper.Look(t.Context(), ship); ok || err != nil {
		t.Errorf("a kind that its version lacks gives %v, %v", ok, err)
	}
	ship.Group = "sea.example"
	if _, _, err := clients.Mapper.Look(t.Context(), ship); !errors.As(err, new(*kube.UnknownKindError)) {
		t.Errorf("a version that isn't served gives %v", err)
	}
	if n := h.asked.Load(); n != 0 {
		t.Errorf("all groups were asked for %d times", n)
	}
}

func TestAsActsForTheAccount(t *testing.T) {
	h, clients := dock(t)
	client, err := clients.As("shop", "deployer")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Resource(boats).List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := h.user.Load(); got != "system:serviceaccount:shop:deployer" {
		t.Errorf("it acted as %q", got)
	}
	if again, err := clients.As("shop", "deployer"); err != nil || again != client {
		t.Errorf("the client was made anew: %v", err)
	}
}

type kept struct {
	metav1.ObjectMeta
	upper string
}

func TestWatchesKeepWhatIsReducedAndEnd(t *testing.T) {
	before := goleak.IgnoreCurrent()
	_, clients := dock(t)
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan string, 1)
	watches := kube.NewWatches(ctx, clients, kube.WatchOptions{
		Reduce: func(o runtime.Object) (any, error) {
			u := o.(*unstructured.Unstructured)
			return &kept{metav1.ObjectMeta{Name: u.GetName(), Namespace: u.GetNamespace(), ResourceVersion: u.GetResourceVersion()}, "A"}, nil
		},
		Changed: func(_ kube.Scope, _, k any, gone bool) { seen <- fmt.Sprint(k.(*kept).Name, k.(*kept).upper, gone) },
	})
	scope := kube.Scope{Resource: boats}
	if watches.Running(scope) != nil {
		t.Error("a watch runs that nobody wants")
	}
	w := watches.Want(scope)
	if got := <-seen; got != "aAfalse" {
		t.Errorf("told of %q", got)
	}
	if k, ok := w.Get("n", "a").(*kept); !ok || k.upper != "A" || len(w.InNamespace("n")) != 1 || w.Get("n", "b") != nil {
		t.Errorf("kept %+v", k)
	}
	if watches.Want(scope) != w || watches.Count() != 1 {
		t.Error("the watch is not shared")
	}
	cancel()
	watches.Wait()
	goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("net/http/httptest.(*Server).goServe.func1"), goleak.IgnoreAnyFunction("net/http.(*conn).serve"))
}

func TestLoadSaysWhichFileIsMissing(t *testing.T) {
	if _, err := kube.Load(kube.Options{Kubeconfig: "/no/such/file"}); err == nil {
		t.Error("a missing kubeconfig is no error")
	}
}

func TestLoadSaysThatNothingLeadsToACluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	if _, err := kube.Load(kube.Options{}); err == nil || !strings.Contains(err.Error(), "name a kubeconfig") {
		t.Errorf("%v", err)
	}
}
