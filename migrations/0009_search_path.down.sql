do $$
declare
    function regprocedure;
begin
    for function in
        select p.oid::regprocedure
          from pg_proc p
         where p.pronamespace = quote_ident(current_schema())::regnamespace and not p.prosecdef
           and p.proname in ('assay_wake', 'assay_enqueue', 'assay_releases_changed', 'assay_release_in_use',
                             'assay_lock_ttl', 'assay_new_life', 'assay_fill_job', 'assay_fill_file',
                             'assay_other_report')
    loop
        execute format('alter function %s reset search_path', function);
    end loop;
end
$$;
