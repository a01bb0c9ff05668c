/* Values of real shape for each kind of board; serial numbers and UUIDs are made up. */
#include "standin.h"

/* What all of them have. %d is the number of the GPU. */
#define EVERY_BOARD \
  {"device_count", "2"}, {"nvml_version", "12"}, {"serial", "165012300000%d"}, {"minor_number", "%d"}, \
  {"virtualization_mode", "0"}, {"inforom_configuration_checksum", "2874321901"}, {"inforom_valid", "1"}, \
  {"gsp_firmware_mode", "1"}, {"gsp_firmware_default_mode", "1"}, {"ecc_mode", "1"}, \
  {"ecc_mode_pending", "1"}, {"default_ecc_mode", "1"}, {"mig_mode", "0"}, {"mig_mode_pending", "0"}, \
  {"persistence_mode", "1"}, {"compute_mode", "0"}, {"accounting_mode", "0"}, \
  {"api_restriction_set_application_clocks", "0"}, {"remapped_rows_correctable", "0"}, \
  {"remapped_rows_uncorrectable", "0"}, {"remapped_rows_pending", "0"}, {"remapped_rows_failure", "0"}, \
  {"retired_pages_pending", "0"}, {"total_ecc_errors_uncorrected", "0"}, \
  {"conf_compute_cpu_caps", "0"}, {"pci_bus_id", "00000000:%dB:00.0"}

#define NO_CONFIDENTIAL_COMPUTING \
  {"conf_compute_gpus_caps", "0"}, {"conf_compute_environment", "0"}, {"conf_compute_feature", "0"}, \
  {"conf_compute_dev_tools_mode", "0"}, {"conf_compute_multi_gpu_mode", "0"}

#define FABRIC \
  {"fabric_state", "3"}, {"fabric_status", "0"}, {"fabric_clique_id", "0"}, \
  {"fabric_cluster_uuid", "00112233445566778899aabbccddeeff"}, {"fabric_health_mask", "1365"}, \
  {"fabric_health_summary", "1"}

#define HOPPER \
  {"architecture", "9"}, {"nvml_driver_version", "570.211.01"}, {"driver_branch", "r570_00"}, \
  {"cuda_driver_version", "12080"}, {"gsp_firmware_version", "570.211.01"}, {"inforom_oem_version", "2.1"}, \
  {"inforom_ecc_version", "7.16"}, {"power_management_limit_mw", "700000"}

static const struct answer a100[] = {
  EVERY_BOARD, NO_CONFIDENTIAL_COMPUTING,
  {"architecture", "7"}, {"nvml_driver_version", "535.288.01"}, {"cuda_driver_version", "12020"},
  {"gsp_firmware_version", "535.288.01"}, {"name", "NVIDIA A100-SXM4-80GB"},
  {"uuid", "GPU-a1000000-0c4b-45a1-9a54-6a5f1f8c000%d"}, {"board_part_number", "692-2G506-0212-002"},
  {"pci_device_id", "548540638"}, {"pci_subsystem_id", "342822110"}, {"vbios_version", "92.00.45.00.06"},
  {"inforom_image_version", "G506.0212.00.02"}, {"inforom_oem_version", "2.0"},
  {"inforom_ecc_version", "6.16"}, {"power_management_limit_mw", "400000"}, {"nvlink_count", "12"}, {0, 0}};

static const struct answer h100[] = {
  EVERY_BOARD, NO_CONFIDENTIAL_COMPUTING, FABRIC, HOPPER,
  {"name", "NVIDIA H100 80GB HBM3"}, {"uuid", "GPU-b1000000-0c4b-45a1-9a54-6a5f1f8c000%d"},
  {"board_part_number", "692-2G520-0205-000"}, {"pci_device_id", "590352606"},
  {"pci_subsystem_id", "381751518"}, {"vbios_version", "96.00.74.00.09"},
  {"inforom_image_version", "G520.0205.00.03"}, {"nvlink_count", "18"}, {0, 0}};

static const struct answer h100_cc[] = {
  {"device_count", "1"}, {"conf_compute_cpu_caps", "3"}, {"conf_compute_gpus_caps", "2"},
  {"conf_compute_environment", "2"}, {"conf_compute_feature", "2"}, {"conf_compute_dev_tools_mode", "0"},
  {"conf_compute_multi_gpu_mode", "0"}, {"conf_compute_gpus_ready_state", "1"},
  {"conf_compute_protected_memory_kib", "83361792"},
  EVERY_BOARD, HOPPER,
  {"name", "NVIDIA H100 80GB HBM3"}, {"uuid", "GPU-c1000000-0c4b-45a1-9a54-6a5f1f8c000%d"},
  {"board_part_number", "692-2G520-0205-000"}, {"pci_device_id", "590352606"},
  {"pci_subsystem_id", "381751518"}, {"vbios_version", "96.00.74.00.1C"},
  {"inforom_image_version", "G520.0205.00.03"},
  {"certificate_chain", "-----BEGIN CERTIFICATE-----\\nc3RhbmQtaW4=\\n-----END CERTIFICATE-----\\n"},
  {"report", "1"}, {0, 0}};

static const struct answer h200[] = {
  EVERY_BOARD, NO_CONFIDENTIAL_COMPUTING, FABRIC, HOPPER,
  {"name", "NVIDIA H200"}, {"uuid", "GPU-d1000000-0c4b-45a1-9a54-6a5f1f8c000%d"},
  {"board_part_number", "692-2G520-0282-001"}, {"pci_device_id", "590680286"},
  {"pci_subsystem_id", "410980574"}, {"vbios_version", "96.00.99.00.01"},
  {"inforom_image_version", "G520.0282.00.04"}, {"nvlink_count", "18"}, {0, 0}};

static const struct answer b200[] = {
  EVERY_BOARD, NO_CONFIDENTIAL_COMPUTING, FABRIC,
  {"architecture", "10"}, {"nvml_driver_version", "580.142"}, {"driver_branch", "r580_00"},
  {"cuda_driver_version", "13000"}, {"gsp_firmware_version", "580.142"}, {"name", "NVIDIA B200"},
  {"uuid", "GPU-e1000000-0c4b-45a1-9a54-6a5f1f8c000%d"}, {"board_part_number", "692-2G525-0225-001"},
  {"pci_device_id", "687935710"}, {"pci_subsystem_id", "429460702"}, {"vbios_version", "97.00.82.00.13"},
  {"inforom_image_version", "G525.0225.00.05"}, {"inforom_oem_version", "2.1"},
  {"inforom_ecc_version", "7.16"}, {"power_management_limit_mw", "1000000"}, {"nvlink_count", "18"},
  {"dram_encryption_mode", "0"}, {"dram_encryption_mode_pending", "0"}, {0, 0}};

const struct profile profiles[] = {{"h100", h100}, {"a100", a100}, {"h100_cc", h100_cc}, {"h200", h200},
                                   {"b200", b200}, {0, 0}};
