"""Google Cloud Dataflow: templates of pipelines, and the jobs that are launched from them."""
