import { describe, expect, it } from 'vitest'
import { Anonymiser } from './anonymise.ts'
import { compareWithSmi } from './compare.ts'
import { known, notSupported } from '../../gpu/state/item.ts'
import type { GpuItem } from '../../gpu/state/item.ts'

const uuid = 'GPU-2c1f7a3e-0c4b-45a1-9a54-6a5f1f8c1e2d'

/** As `nvidia-smi -q -x` writes it. */
const xml = `<?xml version="1.0" ?>
<nvidia_smi_log>
  <driver_version>570.211.01</driver_version>
  <gpu id="00000000:1B:00.0">
    <product_name>NVIDIA H100 80GB HBM3</product_name>
    <product_architecture>Hopper</product_architecture>
    <persistence_mode>Enabled</persistence_mode>
    <mig_mode><current_mig>Disabled</current_mig><pending_mig>Disabled</pending_mig></mig_mode>
    <serial>1652923033456</serial>
    <uuid>${uuid}</uuid>
    <inforom_version><img_version>G520.0205.00.03</img_version><pwr_object>N/A</pwr_object></inforom_version>
    <compute_mode>Exclusive_Process</compute_mode>
    <processes><process_info><process_name>/home/alice/train</process_name></process_info></processes>
  </gpu>
</nvidia_smi_log>
`

const gpu = (item: string) => ({ subject: `gpu:${uuid}`, item, source: 's', pci_address: '0000:1b:00.0' })
const items: GpuItem[] = [
  known({ subject: 'driver', item: 'nvml_driver_version', source: 's' }, '570.211.01'),
  known(gpu('name'), 'NVIDIA H100 80GB HBM3'), known(gpu('architecture'), 'hopper'),
  known(gpu('persistence_mode'), 'enabled'), known(gpu('mig_mode'), 'disabled'),
  known(gpu('mig_mode_pending'), 'disabled'), known(gpu('serial'), '1652923033456'), known(gpu('uuid'), uuid),
  known(gpu('inforom_image_version'), 'G520.0205.00.03'), notSupported(gpu('inforom_power_version')),
  known(gpu('compute_mode'), 'exclusive_process'), known(gpu('power_management_limit_mw'), '700000'),
]

describe('compareWithSmi', () => {
  it('finds that both say the same, in their own words', () => {
    const compared = compareWithSmi(items, xml)
    expect(compared.filter(({ same }) => !same)).toEqual([])
    expect(compared).toHaveLength(11)
  })

  it('names every item that differs, and what only we could not read', () => {
    const wrong = items.filter(({ item }) => item !== 'serial').map((item) =>
      item.item === 'mig_mode' ? { ...item, value: 'enabled' }
        : item.item === 'compute_mode' ? notSupported(gpu('compute_mode')) : item)
    expect(compareWithSmi(wrong, xml).filter(({ same }) => !same).map(({ item, ours, theirs }) => [item, ours, theirs]))
      .toEqual([
        ['serial', '(not read)', '1652923033456'], ['compute_mode', '(not_supported)', 'Exclusive_Process'],
        ['mig_mode', 'enabled', 'Disabled'],
      ])
  })

  it('takes a number that is said to be N/A for a difference', () => {
    const found = compareWithSmi([known(gpu('serial'), '1')], xml.replace('1652923033456', 'N/A'))
    expect(found.find(({ item }) => item === 'serial')?.same).toBe(false)
  })
})

describe('Anonymiser', () => {
  it('replaces serials, UUIDs and host names, the same by the same everywhere', () => {
    const cleaner = new Anonymiser()
    cleaner.addFrom(xml)
    cleaner.add('gpu-node-17', 'host')
    const clean = cleaner.clean(xml)
    expect(clean).not.toMatch(/1652923033456|2c1f7a3e|alice/)
    expect(clean).toContain('<serial>0000000000001</serial>')
    const standIn = /<uuid>(.*)<\/uuid>/.exec(clean)![1]
    expect(standIn).toMatch(/^GPU-00000000-0000-0000-0000-00000000000\d$/)
    expect(cleaner.clean(`${uuid} on gpu-node-17: 1652923033456`)).toBe(`${standIn} on node1: 0000000000001`)
  })

  it('finds the same UUID without its hyphens, and tells two apart', () => {
    const cleaner = new Anonymiser()
    const other = uuid.replace('2c1f', '3c1f')
    const [one, two, bare] = cleaner.clean(`${uuid} ${other} ${uuid.slice(4).replaceAll('-', '')}`).split(' ')
    expect(one).not.toBe(two)
    expect(bare).toMatch(/^0+\d$/)
  })

  it('leaves versions, addresses and what names nobody', () => {
    const cleaner = new Anonymiser()
    for (const text of ['N/A', '0', '000000', '12']) cleaner.add(text, 'serial')
    const text = '96.00.74.00.09 at 0000:1b:00.0 with 0xfffffffffffff, N/A 0 12'
    expect(cleaner.clean(text)).toBe(text)
  })
})
