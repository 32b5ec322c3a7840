// The controller and the admission webhook of PyTorchJob, of Kubeflow's training operator.
//
// Its own program fetches the certificate of its webhook from a Secret that a kubelet mounts;
// here it is a directory, so that nothing has to run inside the cluster.
package main

import (
	"flag"
	"os"

	kubeflow "github.com/kubeflow/training-operator/pkg/apis/kubeflow.org/v1"
	"github.com/kubeflow/training-operator/pkg/config"
	"github.com/kubeflow/training-operator/pkg/controller.v1/common"
	"github.com/kubeflow/training-operator/pkg/controller.v1/pytorch"
	pytorchwebhook "github.com/kubeflow/training-operator/pkg/webhooks/pytorch"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	schedulerplugins "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	volcano "volcano.sh/apis/pkg/apis/scheduling/v1beta1"
)

var log = ctrl.Log.WithName("setup")

// must ends the program with the reason when a step of the start failed.
func must(step string, err error) {
	if err != nil {
		log.Error(err, step)
		os.Exit(1)
	}
}

func main() {
	var probes, certs string
	var port int
	flag.StringVar(&probes, "health-probe-bind-address", "127.0.0.1:8081", "where /readyz is served")
	flag.StringVar(&certs, "webhook-cert-dir", "", "directory with tls.crt and tls.key")
	flag.IntVar(&port, "webhook-port", 9443, "port of the webhooks on loopback")
	flag.StringVar(&config.Config.PyTorchInitContainerImage, "pytorch-init-container-image",
		config.PyTorchInitContainerImageDefault, "image that waits for the master")
	flag.IntVar(&config.Config.PyTorchInitContainerMaxTries, "pytorch-init-container-max-tries",
		config.PyTorchInitContainerMaxTriesDefault, "how often it looks")
	flag.Parse()
	config.Config.PyTorchInitContainerTemplateFile = config.PyTorchInitContainerTemplateFileDefault
	ctrl.SetLogger(zap.New())

	scheme := apiruntime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(kubeflow.AddToScheme(scheme))
	utilruntime.Must(volcano.AddToScheme(scheme))
	utilruntime.Must(schedulerplugins.AddToScheme(scheme))

	mgr, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Scheme:                 scheme,
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: probes,
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: "127.0.0.1", Port: port, CertDir: certs,
		}),
	})
	must("manager", err)
	gang := common.GenNonGangSchedulerSetupFunc()
	must("pytorch controller", pytorch.NewReconciler(mgr, gang).SetupWithManager(mgr, 2))
	must("pytorch webhook", pytorchwebhook.SetupWebhook(mgr))
	must("healthz", mgr.AddHealthzCheck("healthz", healthz.Ping))
	must("readyz", mgr.AddReadyzCheck("readyz", mgr.GetWebhookServer().StartedChecker()))
	must("run", mgr.Start(ctrl.SetupSignalHandler()))
}
