// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * A stand-in for the card of a GPU, for tests in virtual machines: a PCI bus of its own with one
 * device of NVIDIA on it, which sysfs and drivers see as any other. It has no memory and does
 * nothing. Never shipped.
 */
#include <linux/module.h>
#include <linux/pci.h>

static int domain = 0x10de;
module_param(domain, int, 0444);
MODULE_PARM_DESC(domain, "number of the PCI domain: the device is DOMAIN:00:00.0");
static ushort vendor = 0x10de;
module_param(vendor, ushort, 0444);

static u8 config[256];
static struct pci_sysdata sysdata = { .node = NUMA_NO_NODE };
static struct pci_bus *bus;

static int card_read(struct pci_bus *on, unsigned int devfn, int where, int size, u32 *value)
{
	*value = ~0;
	if (devfn || where < 0 || where + size > sizeof(config))
		return PCIBIOS_DEVICE_NOT_FOUND;
	*value = 0;
	memcpy(value, config + where, size);
	return PCIBIOS_SUCCESSFUL;
}

/* Every BAR and register is read-only, which a card may choose: there is no memory to be placed. */
static int card_write(struct pci_bus *on, unsigned int devfn, int where, int size, u32 value)
{
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops card_ops = { .read = card_read, .write = card_write };

static void config_set(int where, u16 value)
{
	config[where] = value;
	config[where + 1] = value >> 8;
}

static int __init card_init(void)
{
	LIST_HEAD(resources);

	config_set(PCI_VENDOR_ID, vendor);
	/* H100 SXM5. */
	config_set(PCI_DEVICE_ID, 0x2330);
	config_set(PCI_CLASS_DEVICE, PCI_CLASS_DISPLAY_3D);
	config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_NORMAL;
	sysdata.domain = domain;
	pci_add_resource(&resources, &iomem_resource);
	bus = pci_scan_root_bus(NULL, 0, &card_ops, &sysdata, &resources);
	if (!bus) {
		pci_free_resource_list(&resources);
		return -ENOMEM;
	}
	pci_bus_add_devices(bus);
	return 0;
}

static void __exit card_exit(void)
{
	pci_lock_rescan_remove();
	pci_stop_root_bus(bus);
	pci_remove_root_bus(bus);
	pci_unlock_rescan_remove();
}

module_init(card_init);
module_exit(card_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Stand-in for the card of a GPU, for tests");
