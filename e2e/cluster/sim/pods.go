package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// workers is how many pods are looked at at once; they mostly wait for a registry
// or the API server.
const workers = 32

// pods runs the pods of all simulated nodes.
type pods struct {
	client    kubernetes.Interface
	images    *Registries
	addresses map[string]string // by node
	queue     workqueue.TypedDelayingInterface[types.NamespacedName]
	known     cache.Indexer

	mu    sync.Mutex
	lives map[types.UID]*life
	uids  map[types.NamespacedName]types.UID
}

func newPods(client kubernetes.Interface, images *Registries, addresses map[string]string) *pods {
	return &pods{
		client: client, images: images, addresses: addresses,
		queue: workqueue.NewTypedDelayingQueue[types.NamespacedName](),
		lives: map[types.UID]*life{},
		uids:  map[types.NamespacedName]types.UID{},
	}
}

func (p *pods) run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(p.client, 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermNotEqualSelector("spec.nodeName", "").String()
		}),
		informers.WithTransform(stripped),
	)
	informer := factory.Core().V1().Pods().Informer()
	p.known = informer.GetIndexer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    p.enqueue,
		UpdateFunc: func(_, pod any) { p.enqueue(pod) },
		DeleteFunc: p.enqueue,
	}); err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for p.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	p.queue.ShutDown()
	group.Wait()
	factory.Shutdown()
	return nil
}

func (p *pods) enqueue(object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	if _, ours := p.addresses[pod.Spec.NodeName]; ours {
		p.queue.Add(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
	}
}

func (p *pods) next(ctx context.Context) bool {
	key, stop := p.queue.Get()
	if stop {
		return false
	}
	defer p.queue.Done(key)
	again, err := p.sync(ctx, key)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "sim: pod %s: %v\n", key, err)
		again = retry
	}
	if again > 0 {
		p.queue.AddAfter(key, again)
	}
	return true
}

// sync brings one pod a step further and returns when to look again; 0 is only
// after a change.
func (p *pods) sync(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	object, exists, err := p.known.GetByKey(key.String())
	if err != nil {
		return 0, fmt.Errorf("look up: %w", err)
	}
	if !exists {
		p.forget(key, "")
		return 0, nil
	}
	pod := object.(*corev1.Pod)
	life := p.life(key, pod)
	terminal := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if pod.DeletionTimestamp != nil {
		return 0, p.end(ctx, pod, life, terminal)
	}
	if terminal {
		return 0, nil
	}
	again := life.pull(ctx, pod, p.images)
	var status corev1.PodStatus
	if again > 0 {
		status = life.waiting(pod)
	} else {
		again = life.advance(pod, behaves(pod), time.Now())
		status = life.status(pod)
	}
	status.HostIP = p.addresses[pod.Spec.NodeName]
	status.HostIPs = []corev1.HostIP{{IP: status.HostIP}}
	return again, p.report(ctx, pod, life, status)
}

// report writes the status where it differs from what was written last.
func (p *pods) report(ctx context.Context, pod *corev1.Pod, life *life, status corev1.PodStatus) error {
	if life.sent != nil && equality.Semantic.DeepEqual(*life.sent, status) {
		return nil
	}
	patch, err := statusPatch(pod.UID, status)
	if err != nil {
		return err
	}
	_, err = p.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name,
		types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if errors.IsNotFound(err) || errors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	life.sent = &status
	return nil
}

// statusPatch holds the whole status. An empty reason is sent as null: conditions are
// merged by their type, and an old reason would stay otherwise. The uid keeps a late
// status off a new pod of the same name.
func statusPatch(uid types.UID, status corev1.PodStatus) ([]byte, error) {
	encoded, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return nil, fmt.Errorf("encode the status: %w", err)
	}
	conditions, _ := encoded["conditions"].([]any)
	for _, c := range conditions {
		condition := c.(map[string]any)
		if _, ok := condition["reason"]; !ok {
			condition["reason"] = nil
		}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": uid}, "status": encoded})
	if err != nil {
		return nil, fmt.Errorf("encode the status: %w", err)
	}
	return patch, nil
}

// stripped drops what nobody here reads.
func stripped(object any) (any, error) {
	if m, err := meta.Accessor(object); err == nil {
		m.SetManagedFields(nil)
	}
	return object, nil
}

// end lets a deleted pod go at once. One that others still hold by a finalizer, as
// jobs do, is first told to have ended.
func (p *pods) end(ctx context.Context, pod *corev1.Pod, life *life, terminal bool) error {
	if life.released {
		return nil
	}
	if len(pod.Finalizers) > 0 && !terminal {
		status := life.killed(pod, time.Now())
		if err := p.report(ctx, pod, life, status); err != nil {
			return err
		}
	}
	now := int64(0)
	err := p.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now,
		Preconditions:      &metav1.Preconditions{UID: &pod.UID},
	})
	if err != nil && !errors.IsNotFound(err) && !errors.IsConflict(err) {
		return fmt.Errorf("let go: %w", err)
	}
	life.released = true
	return nil
}

func (p *pods) life(key types.NamespacedName, pod *corev1.Pod) *life {
	p.forget(key, pod.UID)
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.lives[pod.UID]
	if !ok {
		l = newLife(pod, time.Now())
		p.lives[pod.UID] = l
		p.uids[key] = pod.UID
	}
	return l
}

// forget drops the life of a pod of that name, unless it is the given one.
func (p *pods) forget(key types.NamespacedName, except types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if uid, ok := p.uids[key]; ok && uid != except {
		delete(p.lives, uid)
		delete(p.uids, key)
	}
}
