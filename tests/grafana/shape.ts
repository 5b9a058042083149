// What the dashboard may hold, in Grafana's own types: no key that they do not have, no value that they do
// not take. `tests/dashboard.rs` compiles the dashboard against this.

import type { AnnotationQuery, Dashboard, FieldConfig, Panel, RowPanel, VariableModel } from 'schema/dashboard';
import type * as heatmap from 'schema/heatmap';
import type * as stat from 'schema/stat';
import type * as table from 'schema/table';
import type * as timeseries from 'schema/timeseries';
import type { PrometheusDataQuery } from 'schema/prometheus';

/** As JSON says it: an enum by its values; what has a default may be missing. */
type Written<T> = T extends string
  ? `${T}`
  : T extends (infer Element)[]
    ? Written<Element>[]
    : T extends object
      ? { [Key in keyof T]?: Written<T[Key]> }
      : T;

/** A panel of one kind, with the options of that kind. */
type Drawn<Kind, Options, Custom> = Omit<
  Written<Panel>,
  'type' | 'title' | 'gridPos' | 'options' | 'fieldConfig' | 'targets'
> & {
  type: Kind;
  title: string;
  gridPos: Panel['gridPos'];
  options: Written<Options>;
  fieldConfig: {
    defaults: Omit<Written<FieldConfig>, 'custom'> & { custom?: Written<Custom> };
    overrides: NonNullable<Panel['fieldConfig']>['overrides'];
  };
  targets: (Written<PrometheusDataQuery> & Pick<PrometheusDataQuery, 'expr' | 'refId'>)[];
};

/** With what the Prometheus data source keeps beside it. */
type Annotation = Written<AnnotationQuery> & { expr: string; titleFormat?: string };

/** With what the editor of a query variable keeps beside it. */
type Variable = Written<VariableModel> & { definition?: string };

export type Shape = Omit<Written<Dashboard>, 'annotations' | 'panels' | 'templating'> & {
  /** Of a dashboard that is to be imported. */
  __inputs: [];
  __requires: { type: string; id: string; name: string; version: string }[];
  annotations: { list: Annotation[] };
  panels: (
    | Written<RowPanel>
    | Drawn<'heatmap', heatmap.Options, heatmap.FieldConfig>
    | Drawn<'stat', stat.Options, {}>
    | Drawn<'table', table.Options, {}>
    | Drawn<'timeseries', timeseries.Options, timeseries.FieldConfig>
  )[];
  templating: { list: Variable[] };
};
