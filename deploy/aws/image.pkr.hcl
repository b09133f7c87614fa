# An image for cluster.yaml and single.yaml: Debian 12 with Standfast and a queue manager's program. No secret is in it.
#
#   make deb
#   packer init deploy/aws
#   packer build -var region=eu-central-1 deploy/aws

packer {
  required_plugins {
    amazon = {
      version = ">= 1.3.0"
      source  = "github.com/hashicorp/amazon"
    }
  }
}

variable "region" {
  type        = string
  description = "Where the image is made, and may be used."
}

variable "package" {
  type        = string
  default     = "dist"
  description = "The Debian package, or the directory in which it is alone."
}

variable "brokers" {
  type        = string
  default     = "nats-server mosquitto"
  description = "Debian packages of the queue managers."
}

variable "instance_type" {
  type    = string
  default = "t3.small"
}

source "amazon-ebs" "standfast" {
  region        = var.region
  instance_type = var.instance_type
  ssh_username  = "admin"
  ami_name      = "standfast-${formatdate("YYYYMMDDhhmmss", timestamp())}"
  encrypt_boot  = true
  imds_support  = "v2.0"

  source_ami_filter {
    owners      = ["136693071363"] # Debian, https://wiki.debian.org/Cloud/AmazonEC2Image
    most_recent = true
    filters = {
      name                = "debian-12-amd64-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  tags = {
    Name = "standfast"
  }
}

build {
  sources = ["source.amazon-ebs.standfast"]

  provisioner "file" {
    source      = var.package
    destination = "/tmp/"
  }

  provisioner "shell" {
    script          = "${path.root}/provision.sh"
    execute_command = "sudo env BROKERS='${var.brokers}' sh '{{ .Path }}'"
  }
}
