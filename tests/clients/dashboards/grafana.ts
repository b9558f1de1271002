// What a dashboard of ours must be, made of Grafana's own types. They are narrowed where Grafana
// leaves a value open: panels by their type, queries to Prometheus', units and overrides to those
// that we use, so that a slip of the pen does not pass.

import type {
  AnnotationContainer, AnnotationQuery, Dashboard, DataSourceRef, DataTransformerConfig, FieldConfig, Panel, RowPanel,
  TableCellOptions, VariableModel,
} from '@grafana/schema';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as StatesField, Options as StatesOptions } from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { FieldConfig as TableField, Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { FieldConfig as SeriesField, Options as SeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** The same as JSON: a member of an enum is written as its value. */
type Json<T> = T extends string ? `${T}`
  : T extends number ? (`${T}` extends `${infer N extends number}` ? N : T)
  : T extends (infer U)[] ? Json<U>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> }
  : T;

type With<T, Known> = Omit<T, keyof Known> & Known;

type Prometheus = { type: 'prometheus'; uid: '${datasource}' };

type Unit = 'none' | 's' | 'bytes' | 'Bps' | 'reqps' | 'ops' | 'percentunit' | 'dateTimeAsIso';

/** A query as Grafana's Prometheus data source keeps it. */
type Query = {
  refId: string;
  datasource: Prometheus;
  editorMode: 'code';
  expr: string;
  instant: boolean;
  range: boolean;
  legendFormat?: string;
  format?: 'table' | 'time_series';
};

type Link = { title: string; url: string; targetBlank?: boolean };

type Property =
  | { id: 'unit'; value: Unit }
  | { id: 'color' | 'mappings' | 'thresholds' | 'decimals'; value: Defaults[keyof Defaults] }
  | { id: 'links'; value: Link[] }
  | { id: 'custom.axisPlacement'; value: SeriesField['axisPlacement'] }
  | { id: 'custom.lineStyle'; value: SeriesField['lineStyle'] }
  | { id: 'custom.fillOpacity' | 'custom.width'; value: number }
  | { id: 'custom.cellOptions'; value: TableCellOptions };

type Defaults = Pick<FieldConfig, 'color' | 'mappings' | 'thresholds' | 'decimals'>;

type Field<Custom> = {
  defaults: With<FieldConfig, { custom?: Custom; unit?: Unit }>;
  overrides: { matcher: { id: 'byName' | 'byRegexp'; options: string }; properties: Property[] }[];
};

type Transformation = With<DataTransformerConfig, {
  id: 'merge' | 'organize';
  options: {
    excludeByName?: Record<string, boolean>;
    indexByName?: Record<string, number>;
    renameByName?: Record<string, string>;
  };
}>;

type Common = Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'transformations' | 'datasource' | 'targets'> &
  Required<Pick<Panel, 'id' | 'title' | 'description' | 'gridPos'>> & { datasource: Prometheus; targets: Query[] };

type Shown =
  | (Common & { type: 'stat'; options: StatOptions; fieldConfig: Field<Record<string, never>> })
  | (Common & { type: 'timeseries'; options: SeriesOptions; fieldConfig: Field<SeriesField> })
  | (Common & { type: 'state-timeline'; options: StatesOptions; fieldConfig: Field<StatesField> })
  | (Common & {
      type: 'table';
      options: TableOptions;
      fieldConfig: Field<Partial<TableField>>;
      transformations: Transformation[];
    });

/** Where a query stands beside its target: both are read, by old and new releases. */
type Annotation = With<AnnotationQuery, {
  datasource: DataSourceRef;
  target?: { refId: string; expr: string };
  expr?: string;
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
  step?: string;
  useValueForTime?: boolean;
}>;

type Variable = With<VariableModel, {
  type: 'query' | 'datasource';
  datasource?: Prometheus;
  query: string | { query: string; qryType: 1; refId: string };
  current: { text?: string[]; value?: string[] };
}>;

export type GrafanaDashboard = Json<With<Omit<Dashboard, 'id'>, {
  uid: string;
  title: string;
  panels: (Shown | With<RowPanel, { panels: Shown[] }>)[];
  annotations: With<AnnotationContainer, { list: Annotation[] }>;
  templating: { list: Variable[] };
}>>;
